import { parse } from 'csv-parse/sync'
import { describe, expect, test } from 'vitest'
import { startOfDay } from '../../src/domain/day.ts'
import { parseWeek, periodInstants } from '../../src/domain/period.ts'
import type { Sandbox } from '../../src/sandbox/server.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { parseDay } from '../../src/domain/day.ts'
import { ask, firstAccount, KEY, sandboxOf } from './support.ts'

const week = periodInstants(parseWeek('2024-W12'), 'Europe/Paris')

interface DataExport {
  id: string
  complete: boolean
  start: number
  end: number
  url_csv: string | null
}

async function post(sandbox: Sandbox, body: unknown): Promise<Response> {
  return await fetch(`${sandbox.url}/v1/data-exports`, {
    method: 'POST',
    headers: { ...KEY, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

async function exportOf(answer: Response): Promise<DataExport> {
  expect([200, 201]).toContain(answer.status)
  const data: DataExport = JSON.parse(await answer.text())
  return data
}

const accountingWeek = { type: 'accounting', start: week.startS, end: week.endS }

async function polled(sandbox: Sandbox, id: string, times: number): Promise<DataExport> {
  let seen = await exportOf(await ask(sandbox, `/v1/data-exports/${id}`))
  for (let poll = 1; poll < times; poll += 1) {
    seen = await exportOf(await ask(sandbox, `/v1/data-exports/${id}`))
  }
  return seen
}

/** The URL of the week's complete export. */
async function completeUrl(sandbox: Sandbox): Promise<string> {
  const { id } = await exportOf(await post(sandbox, accountingWeek))
  const { url_csv: url } = await polled(sandbox, id, sandbox.switches.exportPolls + 1)
  if (url === null) throw new Error('the export should be complete')
  return url
}

async function csvOf(sandbox: Sandbox): Promise<string> {
  const answer = await fetch(await completeUrl(sandbox))
  expect(answer.status).toBe(200)
  return await answer.text()
}

describe('an export', () => {
  test('is incomplete at first, complete after some polls, and then has a URL on another host', async () => {
    const sandbox = await sandboxOf({ world: createWorld(), switches: { exportPolls: 2 } })
    const asked = await exportOf(await post(sandbox, accountingWeek))
    expect(asked).toMatchObject({
      complete: false,
      start: week.startS,
      end: week.endS,
      url_csv: null,
    })
    expect(asked.id).toMatch(/^export_[0-9A-Za-z]{34}$/)
    expect((await polled(sandbox, asked.id, 2)).complete).toBe(false)
    const complete = await polled(sandbox, asked.id, 1)
    expect(complete.complete).toBe(true)
    expect(new URL(complete.url_csv ?? '').origin).toBe(sandbox.exportHostUrl)
    expect(sandbox.exportHostUrl).not.toBe(sandbox.url)
  })

  test('takes its time, or never completes, where so switched', async () => {
    const sandbox = await sandboxOf({
      world: createWorld(),
      switches: { exportPolls: 0, exportDelayMs: 60_000 },
    })
    const { id } = await exportOf(await post(sandbox, accountingWeek))
    expect((await polled(sandbox, id, 3)).complete).toBe(false)
    sandbox.switches.exportDelayMs = 0
    sandbox.switches.exportStuck = true
    expect((await polled(sandbox, id, 3)).complete).toBe(false)
    sandbox.switches.exportStuck = false
    expect((await polled(sandbox, id, 1)).complete).toBe(true)
  })

  test('without bounds reaches from the first midnight in Paris to now', async () => {
    const world = createWorld()
    world.nowS = week.endS
    const sandbox = await sandboxOf({ world })
    const start = startOfDay(parseDay('2024-02-26'), 'Europe/Paris')
    expect(await exportOf(await post(sandbox, { type: 'accounting' }))).toMatchObject({
      start,
      end: week.endS,
    })
  })

  test.each([
    ['a body that is not JSON', '{"type"', 'body', 'invalid_type'],
    ['no type', {}, 'type', 'missing_field'],
    ['an unknown type', { type: 'everything' }, 'type', 'invalid_value'],
    ['a start that is no number', { type: 'accounting', start: 'x' }, 'start', 'invalid_value'],
    [
      'an end before the start',
      { type: 'accounting', start: 2, end: 1 },
      'end',
      'incompatible_parameters',
    ],
    [
      'a payout export without payout',
      { type: 'accounting_for_payout' },
      'payout',
      'missing_field',
    ],
  ])('asked with %s is refused', async (_, body, field, code) => {
    const sandbox = await sandboxOf({ world: createWorld() })
    const answer = await post(sandbox, body)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      error_code: 'validation_error',
      errors: [{ field, error_code: code }],
    })
  })

  test('of another account, or unknown, is a 404', async () => {
    const world = createWorld({ accounts: ['north', 'south'], salesPerDay: 2 })
    const sandbox = await sandboxOf({ world })
    const { id } = await exportOf(await post(sandbox, accountingWeek))
    const other = { authorization: `Alma-Auth ${world.accounts[1]?.apiKey ?? ''}` }
    expect((await ask(sandbox, `/v1/data-exports/${id}`, other)).status).toBe(404)
    expect((await ask(sandbox, '/v1/data-exports/export_unknown')).status).toBe(404)
  })

  test('comes from the API itself by ?format=csv once complete, and only so where so switched', async () => {
    const sandbox = await sandboxOf({
      world: createWorld(),
      switches: { exportDownload: 'format_only' },
    })
    const { id } = await exportOf(await post(sandbox, accountingWeek))
    expect((await ask(sandbox, `/v1/data-exports/${id}?format=csv`)).status).toBe(404)
    expect(await polled(sandbox, id, 2)).toMatchObject({ complete: true, url_csv: null })
    const file = await ask(sandbox, `/v1/data-exports/${id}?format=csv`)
    expect(file.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(await file.text()).toContain('Identifiant ligne comptable')
    expect((await ask(sandbox, `/v1/data-exports/${id}?format=pdf`)).status).toBe(400)
  })
})

describe('the export host', () => {
  test('wants no key: a request that carries one is refused', async () => {
    const sandbox = await sandboxOf({ world: createWorld() })
    const url = await completeUrl(sandbox)
    expect((await fetch(url, { headers: KEY })).status).toBe(400)
    expect((await fetch(url)).status).toBe(200)
    const seen = sandbox.requests.filter(({ host }) => host === 'export')
    expect(seen.map(({ headers }) => 'authorization' in headers)).toEqual([true, false])
  })

  test('refuses a URL that was tampered with or has expired; another poll signs a new one', async () => {
    const sandbox = await sandboxOf({ world: createWorld() })
    const url = await completeUrl(sandbox)
    expect((await fetch(url.replace(/.$/, (end) => (end === '0' ? '1' : '0')))).status).toBe(403)
    expect((await fetch(url.replace('export_', 'export_0'))).status).toBe(403)
    sandbox.switches.exportUrlLifetimeMs = -1
    expect((await fetch(await completeUrl(sandbox))).status).toBe(403)
    sandbox.switches.exportUrlLifetimeMs = 60_000
    expect((await fetch(await completeUrl(sandbox))).status).toBe(200)
  })
})

describe('the accounting file', () => {
  test('has the documented labels and every ledger movement of the period, in cents', async () => {
    const world = createWorld()
    const account = firstAccount(world)
    const sandbox = await sandboxOf({ world })
    const lines: Record<string, string>[] = parse(await csvOf(sandbox), { columns: true })
    expect(Object.keys(lines[0] ?? {})).toEqual([
      'Créée (Heure Europe/Paris)',
      'Montant brut (centimes)',
      'Frais Alma (centimes)',
      'Montant net (centimes)',
      'Montant TVA (centimes)',
      "Nombre d'échéances",
      'Nom client',
      'Email client',
      'Identifiant ligne comptable',
      'Identifiant paiement',
      'Identifiant remboursement',
      'Référence commande',
    ])
    const rows = account.rows.filter(({ created }) => created >= week.startS && created < week.endS)
    expect(
      lines.map((line) => [
        line['Identifiant ligne comptable'],
        line['Montant brut (centimes)'],
        line['Frais Alma (centimes)'],
        line['Montant net (centimes)'],
        line['Identifiant paiement'],
        line['Identifiant remboursement'],
      ]),
    ).toEqual(
      rows.map((row) => [
        row.id,
        String(row.amount),
        String(row.merchant_fee),
        String(row.net_amount),
        row.payment_id ?? '',
        row.refund_id ?? '',
      ]),
    )
    for (const line of lines) {
      const vat = Number(line['Montant TVA (centimes)'])
      expect(vat).toBe(Math.floor(Number(line['Frais Alma (centimes)']) / 5))
      expect(line['Créée (Heure Europe/Paris)']).toMatch(/^2024-03-(18|19|2[0-4]) \d\d:\d\d:\d\d$/)
    }
    expect(lines.filter((line) => line['Email client'] !== '').length).toBeGreaterThan(80)
  })

  test('takes VAT out of a fee that holds it', async () => {
    const sandbox = await sandboxOf({ world: createWorld({ feeVat: 'included' }) })
    const lines: Record<string, string>[] = parse(await csvOf(sandbox), { columns: true })
    for (const line of lines) {
      const vat = Number(line['Montant TVA (centimes)'])
      expect(vat).toBe(Math.floor(Number(line['Frais Alma (centimes)']) / 6))
    }
  })

  test('is written otherwise where so switched: delimiter, BOM, apostrophe, columns, rows, signs', async () => {
    const world = createWorld()
    const sandbox = await sandboxOf({
      world,
      switches: {
        exportDelimiter: ';',
        exportBom: true,
        exportApostrophe: 'typographic',
        exportExtraColumns: true,
        exportPayoutRows: false,
        exportRefundSign: 'unsigned',
      },
    })
    const text = Buffer.from(await (await fetch(await completeUrl(sandbox))).arrayBuffer())
    expect(text.subarray(0, 3).toString('hex')).toBe('efbbbf')
    const lines: Record<string, string>[] = parse(text, {
      columns: true,
      delimiter: ';',
      bom: true,
    })
    expect(Object.keys(lines[0] ?? {})[0]).toBe('Boutique')
    expect(lines[0]).toHaveProperty(['Nombre d\u2019échéances'])
    const { rows } = firstAccount(world)
    const kindOf = new Map(rows.map((row) => [row.id, row.kind]))
    const kinds = lines.map((line) => kindOf.get(line['Identifiant ligne comptable'] ?? ''))
    expect(kinds).not.toContain('from_payout')
    expect(kinds).toContain('from_refund')
    expect(lines.every((line) => Number(line['Montant brut (centimes)']) > 0)).toBe(true)
  })

  test('holds a row created at exactly the end only where the end is inclusive', async () => {
    const world = createWorld()
    const row = firstAccount(world).rows.findLast(({ created }) => created < week.endS)
    if (row === undefined) throw new Error('the default world has rows in the week')
    row.created = week.endS
    const sandbox = await sandboxOf({ world })
    expect(await csvOf(sandbox)).not.toContain(row.id)
    sandbox.switches.exportEnd = 'inclusive'
    expect(await csvOf(sandbox)).toContain(row.id)
  })

  test('stays as it was made, whatever the ledger does later', async () => {
    const world = createWorld()
    const sandbox = await sandboxOf({ world })
    const url = await completeUrl(sandbox)
    const before = await (await fetch(url)).text()
    firstAccount(world).rows.length = 10
    expect(await (await fetch(url)).text()).toBe(before)
  })

  test('of one payout holds its rows and its own', async () => {
    const world = createWorld()
    const payout = firstAccount(world).rows.find(({ kind }) => kind === 'from_payout')
    const sandbox = await sandboxOf({ world, switches: { exportPolls: 0 } })
    const { id } = await exportOf(
      await post(sandbox, { type: 'accounting_for_payout', payout: payout?.payout_id }),
    )
    const { url_csv: url } = await polled(sandbox, id, 1)
    const lines: Record<string, string>[] = parse(await (await fetch(url ?? '')).text(), {
      columns: true,
    })
    const nets = lines.map((line) => Number(line['Montant net (centimes)']))
    expect(nets.length).toBeGreaterThan(2)
    expect(nets.reduce((total, net) => total + net, 0)).toBe(0)
  })
})
