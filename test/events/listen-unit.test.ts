/** The systemd unit of the listener: read by systemd itself where this machine has it. */
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const UNIT = fileURLToPath(new URL('../../deploy/alma-listen.service', import.meta.url))
const ANALYZE = 'systemd-analyze'

test('systemd finds nothing wrong with it, and it is as shut in as the night’s', async () => {
  const { error, status, stderr } = spawnSync(ANALYZE, ['verify', UNIT], {
    encoding: 'utf8',
  })
  if (error === undefined) expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  else process.stderr.write('systemd-analyze is not installed: the unit is only read as text\n')
  const linesOf = async (path: string): Promise<string[]> =>
    (await readFile(path, 'utf8')).split('\n').filter((line) => /^[A-Za-z]+=/.test(line))
  const ours = await linesOf(UNIT)
  const night = await linesOf(UNIT.replace('alma-listen', 'alma-reconcile'))
  const isFence = (line: string): boolean =>
    /^(User|UMask|NoNew|Protect|Private|Restrict|Lock|Capability)/.test(line)
  const fences = night.filter((line) => isFence(line) && !line.startsWith('RestartPrevent'))
  expect(fences.length).toBeGreaterThan(10)
  expect(ours).toEqual(expect.arrayContaining(fences))
  expect(ours).toContain('ExecStart=/usr/bin/env node --import tsx jobs/cli.ts listen')
  expect(ours.some((line) => line.includes('LISTEN_HOST=127.0.0.1'))).toBe(true)
})
