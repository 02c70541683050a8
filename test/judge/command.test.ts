import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))

function judge(...flags: string[]): Promise<{ exitCode: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--import', 'tsx', 'jobs/judge.ts', ...flags],
      { cwd: CHECKOUT },
      (_, out, err) => {
        resolve({ exitCode: child.exitCode, out, err })
      },
    )
  })
}

test('prints one line a code, and that all was found', async () => {
  const { exitCode, out } = await judge('--seeds', '3', '--first', '11')
  expect(exitCode).toBe(0)
  expect(out).toMatch(/^code +planted +found +missed +invented +precision +recall$/m)
  expect(out).toMatch(/^payout_residual +\d+ +\d+ +0 +0 +(1\.00|-) +(1\.00|-)$/m)
  expect(out).toContain('All breaks of 3 worlds were found under their keys, and nothing else.')
})

test('tells one world in words', async () => {
  const { exitCode, out } = await judge('--seed', '10')
  expect(exitCode).toBe(0)
  expect(out).toMatch(/^planted {2}[a-z_]+ \(default\): [A-Z].+\.$/m)
  expect(out).toMatch(/^found {4}[a-z_]+ \(default\): [A-Z].+\.$/m)
})

test.each([
  { flags: ['--seeds', 'many'], says: 'A whole number from 1 to 999999 was expected.' },
  { flags: ['--verbose'], says: 'unknown option' },
])('$flags is a usage error', async ({ flags, says }) => {
  const { exitCode, err } = await judge(...flags)
  expect(exitCode).toBe(2)
  expect(err).toContain(says)
})
