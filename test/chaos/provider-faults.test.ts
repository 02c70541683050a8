/** Each fault of the provider once over the whole job; `npm run chaos` does the same with other chances. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { providerFaults } from './provider-faults.ts'

test.concurrent.each(providerFaults.map((blow) => [blow.what, blow] as const))(
  '%s',
  async (what, { strike }) => {
    const folder = await mkdtemp(join(tmpdir(), 'alma-fault-'))
    try {
      const { lost, leaked } = await strike({ chance: chanceOf(`provider/${what}`), folder })
      expect({ lost, leaked }).toEqual({ lost: [], leaked: [] })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  90_000,
)
