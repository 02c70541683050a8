/** Real processes that meet at one merchant's books, each pair once. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { twoAtOnce } from './two-at-once.ts'

test.concurrent.each(twoAtOnce.map((blow) => [blow.what, blow] as const))(
  '%s',
  async (what, { strike }) => {
    const folder = await mkdtemp(join(tmpdir(), 'alma-two-'))
    try {
      const { lost, leaked } = await strike({ chance: chanceOf(`two at once/${what}`), folder })
      expect({ lost, leaked }).toEqual({ lost: [], leaked: [] })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  120_000,
)
