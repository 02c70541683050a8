/** What an assistant is told, asked through the protocol of a real process about the demo's data. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createEmptyDatabase } from '../support/database.ts'
import { CHECKOUT, filesBelow, openPlace } from '../e2e/job.ts'
import { AS_OF, openShop, RECONCILE, rowCounts, type Shop, WEEK } from '../e2e/shop.ts'
import { demoWorld } from '../e2e/shop.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'
import { type Assistant, startAssistant } from './assistant.ts'

/** Each of these starts processes, which take their time on a busy machine. */
const LIMIT_MS = 120_000

/** Ended when the test is over. */
async function assistantOf(place: Parameters<typeof startAssistant>[0]): Promise<Assistant> {
  const assistant = await startAssistant(place)
  onTestFinished(() => assistant.client.close())
  return assistant
}

async function shopWithReport(): Promise<Shop> {
  const shop = await openShop()
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  return shop
}

type Rows = Record<string, unknown>[]

describe('about the demo', () => {
  let shop: Workshop
  let assistant: Assistant
  beforeAll(async () => {
    shop = await openWorkshop(demoWorld())
    await shop.writeBank()
    expect(await shop.run(...RECONCILE)).toMatchObject({ exitCode: 0 })
    assistant = await startAssistant(shop)
  })
  afterAll(async () => {
    await assistant.client.close()
    await shop.close()
  })

  test('answers agree with the written report, figure for figure, and nothing is changed by asking', async () => {
    const csv = await shop.report(WEEK, 'discrepancies.csv')
    const settlements = await shop.report(WEEK, 'settlements.csv')
    const [stored, files] = [
      await rowCounts(shop.database.db),
      await filesBelow(join(shop.dir, 'var')),
    ]
    const { ask, said } = assistant

    const listed = await ask('list_discrepancies', { status: 'all', limit: 100 })
    expect(listed).toMatchObject({
      as_of: AS_OF,
      total: csv.length,
      truncated: false,
      closed: false,
    })
    expect(
      (listed['discrepancies'] as Rows).map((row) => ({
        id: row['discrepancy_id'],
        code: row['code'],
        status: row['status'],
        difference: (row['difference'] as { text: string } | null)?.text ?? '',
        explanation: row['explanation'],
        age: String(row['age_days']),
      })),
    ).toEqual(
      csv.map((row) => ({
        id: row['discrepancy_id'],
        code: row['code'],
        status: row['status'],
        difference: row['difference'],
        explanation: row['explanation'],
        age: row['age_days'],
      })),
    )
    const [first] = listed['discrepancies'] as { difference: { text: string; minor: string } }[]
    expect(first?.difference.minor).toBe(first?.difference.text.replace('.', ''))

    const summary = await shop.report(WEEK, 'summary.csv')
    const told = await ask('period_summary')
    expect(told).toMatchObject({ ties: true, control_faults: [], period: { label: WEEK } })
    expect(
      (told['lines'] as Rows).map((line) => [
        line['line'],
        (line['amount'] as { text: string } | null)?.text ?? '',
        String(line['rows']),
      ]),
    ).toEqual(summary.map(({ line, amount, rows }) => [line, amount, rows]))

    for (const row of settlements) {
      const answer = await ask('settlement', { payout_id: row['payout_id'] })
      expect((answer['settlements'] as Rows)[0]).toMatchObject({
        status: row['status'],
        rule: row['rule'] === '' ? null : row['rule'],
        note: row['note'],
        net: { text: row['net'] },
      })
    }

    for (const { discrepancy_id: id = '', explanation = '' } of csv) {
      const answer = await ask('explain', { id })
      expect(JSON.stringify(answer['sections'])).toContain(JSON.stringify(explanation).slice(1, -1))
    }
    expect(said.err).toBe('')
    expect(await rowCounts(shop.database.db)).toEqual(stored)
    expect(await filesBelow(join(shop.dir, 'var'))).toEqual(files)
  })

  test('tools say what they take and give; lists are bounded and go on where they ended', async () => {
    const { ask, client, refusal } = assistant
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual([
      'list_discrepancies',
      'explain',
      'period_summary',
      'settlement',
      'find',
    ])
    for (const { description, inputSchema, outputSchema, annotations } of tools) {
      expect(description).toMatch(/^Reads only\. .*Examples?: \{/s)
      expect(annotations).toMatchObject({ readOnlyHint: true, destructiveHint: false })
      expect(outputSchema?.properties).toBeDefined()
      const described = Object.values(inputSchema.properties ?? {}) as { description?: string }[]
      expect(described.every((property) => (property.description ?? '') !== '')).toBe(true)
    }
    expect(JSON.stringify(tools)).toContain('minor units')

    const whole = await ask('list_discrepancies', { limit: 100 })
    const ids: unknown[] = []
    let offset: unknown = 0
    for (let asked = 0; offset !== null && asked < 20; asked += 1) {
      const part = await ask('list_discrepancies', { limit: 2, offset })
      const rows = part['discrepancies'] as Rows
      expect(rows.length).toBeLessThanOrEqual(2)
      expect(part['truncated']).toBe(part['next_offset'] !== null)
      ids.push(...rows.map((row) => row['discrepancy_id']))
      offset = part['next_offset']
    }
    expect(ids).toEqual((whole['discrepancies'] as Rows).map((row) => row['discrepancy_id']))
    expect(await ask('list_discrepancies', { code: 'deposit_missing' })).toMatchObject({
      total: 1,
      discrepancies: [{ code: 'deposit_missing' }],
    })

    expect(await refusal('list_discrepancies', { limit: 101 })).toContain('limit')
    expect(await refusal('list_discrepancies', { perod: WEEK })).toContain('perod')
    expect(await refusal('list_discrepancies', { period: '2024-W60' })).toContain('does not exist')
    expect(await refusal('list_discrepancies', { entity: 'Nobody' })).toContain('"default"')
    expect(await refusal('period_summary', { period: '2024-W12', as_of: '2024-03-01' })).toContain(
      'begins on 2024-03-18',
    )
    expect(await refusal('settlement', { payout_id: 'payout_no' })).toContain('find')
    expect(await refusal('explain', { id: 'nothing' })).toContain('nothing is known')
    expect(await refusal('find', {})).toContain('give an amount, a day or a reference')
    expect(await refusal('find', { amount: '1e5' })).toContain('1204.50')
  })

  test('find: by amount of either sign, by day, by the beginning of an id, and by all together', async () => {
    const { ask } = assistant
    const find = async (question: Record<string, unknown>): Promise<Rows> =>
      (await ask('find', { limit: 100, ...question }))['found'] as Rows
    const [payout] = (await shop.report(WEEK, 'settlements.csv')).filter(
      ({ status }) => status === 'matched',
    )
    const {
      payout_id: id = '',
      payout_amount: amount = '',
      created = '',
      bank_references: bank = '',
    } = payout ?? {}
    for (const typed of [amount, `-${amount}`]) {
      expect(await find({ amount: typed })).toMatchObject(
        expect.arrayContaining([
          expect.objectContaining({ kind: 'payout', id }),
          expect.objectContaining({ kind: 'bank_line', id: bank }),
        ]),
      )
    }
    expect(await find({ amount, day: created })).toMatchObject([{ kind: 'payout', id }])
    expect((await find({ amount, day: created, days_around: 30 })).length).toBeGreaterThan(1)
    expect(await find({ amount, day: '2023-03-20', days_around: 62 })).toEqual([])
    expect(await find({ amount, currency: 'USD' })).toEqual([])
    expect((await find({ reference: id.slice(0, -2) })).map((row) => row['id'])).toEqual([id])
    expect(await find({ reference: bank.slice(0, -1) })).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ kind: 'bank_line', id: bank })]),
    )
    const ofDay = await find({ day: created })
    expect(new Set(ofDay.map((row) => row['day']))).toEqual(new Set([created]))
    for (const limit of [1, 2, ofDay.length - 1]) {
      expect(await ask('find', { day: created, limit })).toEqual({
        truncated: true,
        found: ofDay.slice(0, limit),
      })
    }
    const [refund] = await shop.report(WEEK, 'refunds.csv')
    expect(await find({ reference: refund?.['refund_id'] })).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ kind: 'refund' })]),
    )
    // Letters that mean something to SQL mean themselves.
    expect(await find({ reference: "payout_%' or 1=1 --" })).toEqual([])
  })

  test('reports as resources: as written, but for what an assistant is not told', async () => {
    const { client } = assistant
    const { resources } = await client.listResources()
    expect(resources.map(({ uri }) => uri)).toEqual(
      [
        'discrepancies.csv',
        'settlements.csv',
        'refunds.csv',
        'open_items.csv',
        'plans.csv',
        'summary.csv',
        'summary.json',
      ].map((name) => `alma-report://${WEEK}/${name}`),
    )
    const csvs = await shop.reportTexts(WEEK)
    for (const name of ['settlements.csv', 'refunds.csv', 'summary.csv']) {
      const { contents } = await client.readResource({ uri: `alma-report://${WEEK}/${name}` })
      expect(contents).toMatchObject([{ text: csvs[name], mimeType: 'text/csv' }])
    }
    for (const uri of [
      `alma-report://${WEEK}/report.html`,
      `alma-report://${WEEK}/..%2F..%2F.env`,
      'alma-report://2024-W11/summary.csv',
      'alma-report://../summary.csv',
      'file:///etc/passwd',
    ]) {
      await expect(client.readResource({ uri })).rejects.toThrow(/there is no|not found/)
    }
  })
})

test(
  'no secret, no account number, no text of a bank line, nobody by name',
  async () => {
    const shop = await openShop()
    Object.assign(shop.env, {
      SMTP_URL: 'smtp://user:smtp-secret@127.0.0.1:2525',
      MAIL_FROM: 'a@b.example',
      MAIL_TO: 'c@d.example',
    })
    const account = shop.sandbox.world.bankAccounts[0]
    // Somebody else's line of a payout's amount comes close to being its deposit.
    const strange = account?.lines.find(
      ({ payoutId, amountMinor }) => payoutId === undefined && amountMinor > 0,
    )
    expect(strange).toBeDefined()
    Object.assign(strange ?? {}, {
      counterpartyName: 'Odile Deray',
      remittance: 'LOYER ODILE DERAY',
    })
    expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
    const rows = await shop.rows(WEEK, 'discrepancies.csv')
    const signed = ['--by', 'Serge Karamazov', '--reason', 'said "so" to Odile Deray']
    expect(
      await shop.runHere(
        'decide',
        'accept',
        '--discrepancy',
        rows[1]?.['discrepancy_id'] ?? '',
        ...signed,
      ),
    ).toMatchObject({ exitCode: 0 })
    const [matched] = (await shop.rows(WEEK, 'settlements.csv')).filter(
      ({ status }) => status === 'matched',
    )
    expect(
      await shop.runHere(
        'decide',
        'match',
        '--payout',
        matched?.['payout_id'] ?? '',
        '--bank',
        matched?.['bank_references'] ?? '',
        ...signed,
      ),
    ).toMatchObject({ exitCode: 0 })
    expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
    expect(
      await shop.runHere('close', '--week', WEEK, '--as-of', AS_OF, '--by', 'Serge Karamazov'),
    ).toMatchObject({ exitCode: 0 })
    const whole = await shop.csvs(WEEK)
    expect(whole['discrepancies.csv']).toContain('Serge Karamazov')

    const { ask, client, said } = await assistantOf(shop)
    const answers: unknown[] = [
      await ask('period_summary'),
      await ask('list_discrepancies', { status: 'all', limit: 100 }),
      await ask('find', { day: '2024-03-20', days_around: 10, limit: 100 }),
    ]
    for (const row of await shop.rows(WEEK, 'settlements.csv')) {
      answers.push(await ask('settlement', { payout_id: row['payout_id'] }))
      answers.push(await ask('explain', { id: row['payout_id'], limit: 100 }))
      for (const id of (row['bank_references'] ?? '').split(' ').filter((one) => one !== '')) {
        answers.push(await ask('explain', { id }))
      }
    }
    for (const { uri } of (await client.listResources()).resources) {
      answers.push(await client.readResource({ uri }))
    }
    expect(answers[0]).toMatchObject({ closed: true })
    const text = JSON.stringify(answers)
    expect(text).toContain('a person on 20')
    for (const secret of [
      'Karamazov',
      'Deray',
      'DERAY',
      account?.iban ?? '-',
      shop.env['ALMA_API_KEY'] ?? '-',
      'smtp-secret',
      'd.example',
      shop.dir,
    ]) {
      expect({ secret, told: text.includes(secret) || said.err.includes(secret) }).toEqual({
        secret,
        told: false,
      })
    }
  },
  LIMIT_MS,
)

test(
  'it takes no lock, and a run takes none from it: both at once, as often as you like',
  async () => {
    const shop = await shopWithReport()
    const { ask } = await assistantOf(shop)
    const running = shop.runHere(...RECONCILE, '--full')
    const asked = Array.from({ length: 12 }, () =>
      ask('period_summary').then(
        (answer) => answer['ties'],
        (error: unknown) => String(error),
      ),
    )
    for (const answer of await Promise.all(asked)) {
      // A question that comes between storing and proving is put off, not answered by halves.
      expect([true, expect.stringContaining('not all proved yet')]).toContainEqual(answer)
    }
    expect(await running).toMatchObject({ exitCode: 0 })
    expect(await ask('period_summary')).toMatchObject({ ties: true })
    const [runs] = await shop.database.db.execute<{ commands: string[] }>(
      sql`select array_agg(distinct command) as commands from runs`,
    )
    expect(runs?.commands).toEqual(['reconcile'])
  },
  LIMIT_MS,
)

test(
  'what is stored and not proved yet is no ground for an answer',
  async () => {
    const shop = await shopWithReport()
    const { ask, refusal } = await assistantOf(shop)
    await ask('period_summary')
    await shop.database.db.execute(
      sql`update ledger_proofs set changed_number = changed_number + 1`,
    )
    for (const [tool, question] of [
      ['period_summary', {}],
      ['list_discrepancies', {}],
      ['explain', { id: 'x' }],
    ] as const) {
      expect(await refusal(tool, question)).toContain('not all proved yet')
    }
    expect(await shop.runHere(...RECONCILE, '--offline')).toMatchObject({ exitCode: 0 })
    expect(await ask('period_summary')).toMatchObject({ ties: true })
  },
  LIMIT_MS,
)

test(
  'with nothing stored, or no server, it says what to do, and goes on when that is done',
  async () => {
    const database = await createEmptyDatabase()
    const place = await openPlace({ DATABASE_URL: database.url })
    const { refusal, client } = await assistantOf(place)
    expect(await refusal('period_summary')).toMatch(/nothing is stored yet\n→ .*npm run reconcile/)
    expect(await place.runHere('db:migrate')).toMatchObject({ exitCode: 0 })
    expect(await refusal('settlement', { payout_id: 'payout_1' })).toContain('no payout')
    await client.close()
    await database.drop()
    await place.remove()

    const gone = await openPlace({ DATABASE_URL: 'postgres://nobody:pa55word@127.0.0.1:9/none' })
    const unreachable = await assistantOf(gone)
    const words = await unreachable.refusal('period_summary')
    expect(words).toContain('cannot be reached')
    expect(words + unreachable.said.err).not.toContain('pa55word')
    await unreachable.client.close()
    await gone.remove()
  },
  LIMIT_MS,
)

test(
  'standard output holds the protocol and nothing else; the end of input ends it, answers first',
  async () => {
    const shop = await shopWithReport()
    const { PATH = '' } = process.env
    const child = spawn(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), join(CHECKOUT, 'jobs/cli.ts'), 'mcp'],
      { cwd: shop.dir, env: { PATH, ...shop.env, LOG_FORMAT: 'text', ALMA_TYPO: 'x' } },
    )
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    const send = (message: object): void => {
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
    }
    const clientInfo = { name: 'raw', version: '1' }
    send({
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo },
    })
    send({ method: 'notifications/initialized' })
    child.stdin.write('this is no message\n')
    send({ id: 2, method: 'tools/call', params: { name: 'period_summary', arguments: {} } })
    send({ id: 3, method: 'no/such', params: {} })
    child.stdin.end()
    const [exitCode] = (await once(child, 'close')) as [number | null]
    expect({ exitCode, err }).toEqual({
      exitCode: 0,
      err: expect.stringMatching(/ALMA_TYPO[\s\S]*a message was not understood/),
    })
    const messages = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { jsonrpc: string; id?: number; error?: unknown })
    expect(messages.every(({ jsonrpc }) => jsonrpc === '2.0')).toBe(true)
    expect(new Set(messages.map(({ id }) => id))).toEqual(new Set([1, 2, 3]))
    expect(messages.filter(({ error }) => error !== undefined).map(({ id }) => id)).toEqual([3])
  },
  LIMIT_MS,
)
