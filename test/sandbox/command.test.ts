import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { DEMO_API_KEY } from '../../src/sandbox/world.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))

interface Command {
  process: ChildProcessWithoutNullStreams
  /** What it wrote to either stream so far. */
  text(): string
  exitCode: Promise<number | null>
}

function run(...flags: string[]): Command {
  const child = spawn(process.execPath, ['--import', 'tsx', 'jobs/sandbox.ts', ...flags], {
    cwd: CHECKOUT,
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      text += piece.toString()
    })
  }
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const exitCode = once(child, 'close').then(() => child.exitCode)
  return { process: child, text: () => text, exitCode }
}

async function said(command: Command, words: RegExp): Promise<RegExpExecArray> {
  return await new Promise((resolve, reject) => {
    const look = (): void => {
      const found = words.exec(command.text())
      if (found !== null) resolve(found)
    }
    look()
    command.process.stdout.on('data', look)
    command.process.on('close', () => {
      reject(new Error(`it ended without saying ${String(words)}: ${command.text()}`))
    })
  })
}

test('serves until Ctrl-C, says how to use it and what is wrong in its world', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sandbox-command-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const command = run('--port', '0', '--bank-dir', dir)
  await said(command, /Ctrl-C stops it/)
  const url = /ALMA_API_URL=(\S+)/.exec(command.text())?.[1] ?? ''
  const answer = await fetch(`${url}/v1/me`, {
    headers: { authorization: `Alma-Auth ${DEMO_API_KEY}` },
  })
  expect(answer.status).toBe(200)
  expect(command.text()).toContain(`ALMA_API_KEY=${DEMO_API_KEY}`)
  expect(command.text()).toContain('npm run reconcile -- --week 2024-W12')
  expect(command.text()).toMatch(/deposit_missing +A payout of/)
  expect((await readdir(dir)).length).toBe(8)
  command.process.kill('SIGINT')
  expect(await command.exitCode).toBe(0)
})

test('says of a port in use what to do, and of an unknown flag that it is unknown', async () => {
  const clean = run('--clean', '--port', '0')
  const [, port = ''] = await said(clean, /ALMA_API_URL=http:\/\/127\.0\.0\.1:(\d+)/)
  const second = run('--port', port)
  const third = run('--prot', '1')
  expect(await second.exitCode).toBe(2)
  expect(second.text()).toContain('choose another with --port')
  expect(await third.exitCode).toBe(2)
  expect(third.text()).toContain("unknown option '--prot'")
  await said(clean, /Nothing is wrong in this world/)
})
