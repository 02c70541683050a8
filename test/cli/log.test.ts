/** The log of a run: JSON lines that tell whose they are and give nothing away. */
import { spawn } from 'node:child_process'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { createLog } from '../../src/log.ts'
import { redactor } from '../../src/redact.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

const STRANGER = 'DE89370400440532013000'
const CUSTOMER = 'jeanne.durand@example.net'

type Line = Record<string, unknown>

/** Every line must be one object. */
function parsed(text: string): Line[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Line => {
      const value: unknown = JSON.parse(line)
      if (value === null || typeof value !== 'object') throw new Error(`no object: ${line}`)
      return { ...value }
    })
}

describe('what is taken out of a line', () => {
  const redact = redactor(['s3cret/word', 'abc'])

  test.each([
    ['the key sk_live_abcDEF0123 was refused', 'the key sk_live_(hidden) was refused'],
    ['Authorization: Alma-Auth sk_test_1', 'Authorization: Alma-Auth (hidden)'],
    ['postgres://me:hunter2@db.example:5432/x', 'postgres://(hidden)@db.example:5432/x'],
    ['pass s3cret/word or s3cret%2Fword', 'pass (hidden) or (hidden)'],
    ['550 <a.b+c@shop.example>: no such box', '550 <(address)>: no such box'],
    [`from ${STRANGER} today`, 'from DE89…3000 today'],
    ['from DE89 3704 0044 0532 0130 00 SALES', 'from DE89…3000 SALES'],
    // What only looks like one of them stays.
    ['abc is too short to be a secret', 'abc is too short to be a secret'],
    ['DE00370400440532013000 has wrong digits', 'DE00370400440532013000 has wrong digits'],
    ['payout_11xWHrMPGnimx7YuAKTXnRqwnGyAS0yz8W', 'payout_11xWHrMPGnimx7YuAKTXnRqwnGyAS0yz8W'],
    [
      '2024032089010003 of 2024-03-20, 12530.72 EUR',
      '2024032089010003 of 2024-03-20, 12530.72 EUR',
    ],
  ])('%s', (line, expected) => {
    expect(redact(line)).toBe(expected)
  })

  test('JSON stays JSON, whatever the text and the secret', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ minLength: 6 }), (text, secret) => {
        const line = redactor([secret])(JSON.stringify({ msg: `${text} x ${STRANGER}` }))
        expect(() => {
          JSON.parse(line)
        }).not.toThrow()
      }),
      // A secret that is a piece of the line's own structure is not one that anybody has.
      { examples: [['"\\', 'sk_test_"\\x']] },
    )
  })
})

test('a line tells its level, run, step, entity and period; the run’s number once it has one', () => {
  let text = ''
  let nowMs = 0
  const { progress, failure } = createLog({
    write: (line) => (text += line),
    command: 'nightly',
    secrets: [],
    nowMs: () => nowMs,
    lineEveryMs: 5_000,
  })
  progress.note('nothing is mailed')
  progress.runBegan?.(17)
  const north = progress.about?.({ entity: 'north', period: '2024-W12' })
  const step = north?.step('ledger of north', 'rows', 40)
  step?.advance(10)
  nowMs = 6_000
  step?.advance(10)
  step?.done('20 rows in 2 pages')
  north?.note('one was not found', 'warn')
  failure({ message: 'gone', hint: 'Try later.', kind: 'X', exitCode: 4, stack: null })
  const lines = parsed(text)
  expect(lines).toMatchObject([
    { level: 'info', command: 'nightly', msg: 'nothing is mailed' },
    { step: 'ledger of north', count: 20, total: 40, unit: 'rows', entity: 'north', run_id: 17 },
    { msg: 'ledger of north: 20 rows in 2 pages', period: '2024-W12', run_id: 17 },
    { level: 'warn', entity: 'north', msg: 'one was not found' },
    { level: 'error', msg: 'gone', hint: 'Try later.', kind: 'X', exit_code: 4, run_id: 17 },
  ])
  expect(lines[0]).not.toHaveProperty('run_id')
  expect(new Set(lines.map(({ run }) => run)).size).toBe(1)
  for (const { time } of lines) expect(time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
})

describe('the real process', () => {
  let shop: Workshop | null = null
  afterEach(async () => {
    await shop?.close()
    shop = null
  })

  /** A shop whose inbox holds a file that says more than it should. */
  async function open(): Promise<Workshop> {
    shop = await openWorkshop(createWorld())
    await shop.writeBank()
    await mkdir(shop.inbox, { recursive: true })
    await writeFile(
      join(shop.inbox, 'talkative.csv'),
      `account,booking_date,value_date,amount,currency,counterparty_name,counterparty_iban,remittance,end_to_end_id,bank_reference,opening_balance,closing_balance\nFR7630006000011234567890189,2024-03-20,,${CUSTOMER} ${STRANGER} sk_live_planted0123,EUR,,,,,,,\n`,
    )
    return shop
  }

  async function run(
    opened: Workshop,
    env: Record<string, string>,
    ...argv: string[]
  ): Promise<{ exitCode: number | null; err: string }> {
    const cli = fileURLToPath(new URL('../../jobs/cli.ts', import.meta.url))
    const { PATH = '' } = process.env
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), cli, ...argv], {
      cwd: opened.dir,
      env: { PATH, ...opened.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    await new Promise((resolve) => child.on('close', resolve))
    return { exitCode: child.exitCode, err }
  }

  const WEEK = ['reconcile', '--week', '2024-W12', '--as-of', '2024-04-05']

  function expectSecret(opened: Workshop, text: string): void {
    for (const secret of [opened.env['ALMA_API_KEY'] ?? '', 'planted0123', CUSTOMER, STRANGER]) {
      expect(text).not.toContain(secret)
    }
  }

  test('LOG_FORMAT=json: every line is an object with its run, and no secret is in any', async () => {
    const opened = await open()
    const { exitCode, err } = await run(opened, { LOG_FORMAT: 'json' }, ...WEEK)
    expect(exitCode).toBe(5)
    const lines = parsed(err)
    expect(lines.length).toBeGreaterThan(3)
    expect(new Set(lines.map(({ run: id }) => id)).size).toBe(1)
    for (const line of lines) {
      expect(line).toMatchObject({ level: expect.any(String), command: 'reconcile' })
    }
    expect(lines).toContainEqual(
      expect.objectContaining({ entity: 'default', period: '2024-W12', run_id: 1 }),
    )
    expect(lines.some(({ step }) => typeof step === 'string')).toBe(true)
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'warn', msg: expect.stringContaining('talkative.csv') }),
    )
    expect(lines.at(-1)?.['msg']).toMatch(/^Alma 2024-W12: incomplete/)
    expectSecret(opened, err)
  }, 60_000)

  test('LOG_FILE from .env: people read sentences, the file gets the lines, run after run, for this account only', async () => {
    const opened = await open()
    await writeFile(join(opened.dir, '.env'), 'LOG_FILE=logs/night.log\n')
    const first = await run(opened, {}, ...WEEK)
    expect(first.exitCode).toBe(5)
    expect(() => parsed(first.err)).toThrow()
    const wrong = await run(opened, {}, 'reconcile', '--week', '2024-W99')
    expect(wrong.exitCode).toBe(2)
    expect(wrong.err).toContain('→ ')
    const file = join(opened.dir, 'logs', 'night.log')
    const text = await readFile(file, 'utf8')
    const lines = parsed(text)
    expect(new Set(lines.map(({ run: id }) => id)).size).toBe(2)
    expect(lines.at(-1)).toMatchObject({ level: 'error', msg: expect.stringContaining('2024-W99') })
    expect((await stat(file)).mode & 0o077).toBe(0)
    expectSecret(opened, text)
  }, 60_000)

  test('a log file that cannot be written, and a format that is none, are faults of the settings', async () => {
    const opened = await open()
    await writeFile(join(opened.dir, 'taken'), '')
    const nowhere = await run(opened, { LOG_FILE: 'taken/night.log' }, ...WEEK)
    expect(nowhere).toMatchObject({ exitCode: 3, err: expect.stringMatching(/^LOG_FILE: .*\n→ /) })
    const xml = await run(opened, { LOG_FORMAT: 'xml' }, ...WEEK)
    expect(xml).toMatchObject({
      exitCode: 3,
      err: expect.stringContaining('LOG_FORMAT: found "xml", expected text or json'),
    })
  }, 60_000)
})
