/** Some nights of the soak; `npm run chaos` has sixty. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { soakOf } from './soak.ts'

const NIGHTS = 6

test(`${NIGHTS} nights in a row: each break is told on its night, once, and nothing else`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'alma-soak-'))
  try {
    const outcome = await soakOf(NIGHTS).strike({ chance: chanceOf('soak/3'), folder })
    expect(outcome).toMatchObject({ lost: [], leaked: [] })
    expect(outcome.ended).toMatch(/^[3-9] breaks told on their night/)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 120_000)
