/** The short form of `npm run chaos` as tests: each blow once, those first that take little time. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { chanceOf } from '../../src/sandbox/chance.ts'
import type { Blow } from './blow.ts'
import { embeddedCrashes } from './crashes-embedded.ts'
import { serverCrashes } from './crashes.ts'
import { databaseFaults } from './database-faults.ts'
import { diskFaults } from './disk.ts'

const TIMEOUT_MS = 180_000

/** One where rows come in, one where reports go out, and one in which the database dies. */
export const crashesShown: readonly Blow[] = [
  ...serverCrashes.filter(({ what }) => /first night.*request|later.*writes/.test(what)),
  ...embeddedCrashes.filter(({ what }) => /SIGKILL of the server/.test(what)),
]

/** Those that the job notices at once. */
export const databaseFaultsShown: readonly Blow[] = databaseFaults.filter(({ what }) =>
  /reset at a random|administrator|restarted|refuses/.test(what),
)

/** No room in one place, no right to write in another. */
export const diskFaultsShown: readonly Blow[] = diskFaults.filter(({ what }) =>
  /archive|DATA_DIR/.test(what),
)

export function strikeEach(blows: readonly Blow[]): void {
  test('there is something to be struck', () => {
    expect(blows.length).toBeGreaterThan(0)
  })

  test.concurrent.each(blows.map((blow) => [blow.what, blow] as const))(
    '%s',
    async (what, { strike }) => {
      const folder = await mkdtemp(join(tmpdir(), 'alma-blow-'))
      try {
        const { lost, leaked } = await strike({ chance: chanceOf(`short/${what}`), folder })
        expect({ lost, leaked }).toEqual({ lost: [], leaked: [] })
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
    TIMEOUT_MS,
  )
}
