/**
 * What bad input gets: the exit code, and a message that says where, what was found, what was
 * expected and what to do. Once it is set right, the reports are those of a shop in which nothing
 * ever happened.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asc } from 'drizzle-orm'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { bankFiles } from '../../db/schema.ts'
import { openPlace, signalGroup, startScript, untilSaid } from './job.ts'
import { openShop, RECONCILE, type Shop, undisturbed, WEEK } from './shop.ts'

let expected: Record<string, string> = {}
beforeAll(async () => {
  expected = await undisturbed()
})

const isExportAsked = ({ method, path }: Shop['sandbox']['requests'][number]): boolean =>
  method === 'POST' && path === '/v1/data-exports'

async function expectAsUndisturbed(shop: Shop): Promise<void> {
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  expect(await shop.csvs(WEEK)).toEqual(expected)
}

describe('before anything is done', () => {
  const week = ['reconcile', '--week', WEEK]
  test.each<[string, readonly string[], Record<string, string>, number, readonly string[]]>([
    ['no key', week, {}, 3, ['ALMA_API_KEY is not set', '.env', 'npm run demo']],
    [
      'a key that is none',
      week,
      { ALMA_API_KEY: 'pk_live_hunter2' },
      3,
      ['ALMA_API_KEY', 'sk_live_ or sk_test_'],
    ],
    ['a week that does not exist', ['reconcile', '--week', '2023-W53'], {}, 2, ['2023-W52']],
    ['an unknown flag', [...week, '--ofline'], {}, 2, ["'--ofline'", '--offline']],
    [
      'a database that cannot be reached',
      week,
      { ALMA_API_KEY: 'sk_test_hunter2', DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/db' },
      4,
      ['127.0.0.1:1'],
    ],
  ])('%s', async (_, argv, env, exitCode, essentials) => {
    const place = await openPlace(env)
    onTestFinished(place.remove)
    const plain = await place.run(...argv)
    expect(plain).toMatchObject({ exitCode, out: '' })
    for (const essential of essentials) expect(plain.err).toContain(essential)
    expect(plain.err).toMatch(/^→ \S/m)
    expect(plain.err).not.toContain('hunter2')
    const withJson = await place.runHere(...argv, '--json')
    expect(withJson.exitCode).toBe(exitCode)
    expect(JSON.parse(withJson.out)).toMatchObject({ error: { exit_code: exitCode } })
  })
})

describe('the provider', () => {
  test('refuses the key: exit 3 with its answer, and the key in no text', async () => {
    const shop = await openShop()
    const right = shop.env['ALMA_API_KEY'] ?? ''
    shop.env['ALMA_API_KEY'] = 'sk_test_hunter2'
    const refused = await shop.run(...RECONCILE)
    expect(refused).toMatchObject({ exitCode: 3, out: '' })
    expect(refused.err).toContain('Credentials invalid or not supplied')
    expect(refused.err).toContain('ALMA_API_KEY')
    expect(refused.err).not.toContain('hunter2')
    // One question is enough to learn that the key is no good.
    expect(shop.sandbox.requests).toHaveLength(1)
    shop.env['ALMA_API_KEY'] = right
    await expectAsUndisturbed(shop)
  })

  test('is down: exit 4 after a bounded number of tries, nothing lost', async () => {
    const shop = await openShop()
    const url = shop.env['ALMA_API_URL'] ?? ''
    shop.env['ALMA_API_URL'] = 'http://127.0.0.1:9'
    const beganMs = Date.now()
    const down = await shop.run(...RECONCILE)
    expect(down).toMatchObject({ exitCode: 4, out: '' })
    expect(down.err).toMatch(
      /127\.0\.0\.1:9\S* failed after \d+ attempts: the connection was refused/,
    )
    expect(Date.now() - beganMs).toBeLessThan(25_000)
    shop.env['ALMA_API_URL'] = url
    await expectAsUndisturbed(shop)
  })

  test('goes down again and again in the middle: exit 4, and each run goes on where it was', async () => {
    const shop = await openShop()
    for (const [path, from] of [
      [/^\/v1\/balance-transactions$/, 2],
      [/^\/v1\/data-exports$/, 1],
      [/^\/v1\/data-exports\/./, 1],
      [/^\/v1\/payments/, 3],
    ] as const) {
      shop.sandbox.script({
        path,
        when: (nth) => nth >= from,
        fault: { do: 'status', status: 503, headers: { 'retry-after': '3600' } },
      })
      const down = await shop.runHere(...RECONCILE)
      expect(down).toMatchObject({ exitCode: 4, out: '' })
      expect(down.err).toContain('HTTP 503, and asked to wait 3600 s')
      shop.sandbox.clearScript()
    }
    const asked = shop.sandbox.requests.filter(
      (request) => isExportAsked(request) && request.status === 200,
    )
    await expectAsUndisturbed(shop)
    // An export that was accepted once is waited for, not asked for again.
    expect(asked).toHaveLength(1)
    expect(shop.sandbox.requests.filter(isExportAsked)).toHaveLength(2)
  })

  test('sends an export that breaks off: exit 5, the rest is done and says what is missing', async () => {
    const shop = await openShop()
    shop.sandbox.script({
      host: 'export',
      fault: {
        do: 'answer',
        with: () => ({
          status: 200,
          headers: { 'content-type': 'text/csv' },
          body: `${EXPORT_LABELS}\n2024-03-18 10:00:00,100`,
        }),
      },
    })
    const broken = await shop.runHere(...RECONCILE)
    expect(broken.exitCode).toBe(5)
    const head =
      /^! The accounting export of default was rejected.*: .*line 2 has 2 cells, \d+ were expected/m
    expect(broken.out).toMatch(head)
    expect(await shop.summaryJson(WEEK)).toMatchObject({
      notes: [
        expect.stringMatching(/^The accounting export of default was rejected/),
        // Without the export nothing tells whether fees contain VAT, so nothing is booked.
        expect.stringMatching(/^There are no entries for default in journal.csv/),
      ],
    })
    // All but what only the export shows is found all the same.
    const found = await shop.rows(WEEK, 'discrepancies.csv')
    expect(found.map(({ code }) => code)).not.toContain('export_differs')
    expect(found).toHaveLength(8)
    shop.sandbox.clearScript()
    await expectAsUndisturbed(shop)
  })
})

const EXPORT_LABELS = [
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
].join(',')

test('a statement cut off in the middle: exit 5 with file and line, nothing of it, all others in', async () => {
  const shop = await openShop()
  const name = '890189-2024-W14.xml'
  const path = join(shop.inbox, name)
  const whole = await readFile(path, 'utf8')
  await writeFile(path, whole.slice(0, Math.floor(whole.length / 2)))
  const cut = await shop.run(...RECONCILE)
  expect(cut.exitCode).toBe(5)
  expect(cut.out).toMatch(
    new RegExp(
      `^! The bank file ${name} was rejected and nothing of it was taken: ${name}, line \\d+: \\S`,
      'm',
    ),
  )
  const stored = await shop.database.db
    .select({ name: bankFiles.name })
    .from(bankFiles)
    .orderBy(asc(bankFiles.name))
  expect(stored).toHaveLength(7)
  expect(stored).not.toContainEqual({ name })
  expect(await shop.summaryJson(WEEK)).toMatchObject({
    notes: [expect.stringContaining(`The bank file ${name} was rejected`)],
  })
  // Said again by every run until the file is mended or gone, also for machines.
  const again = await shop.runHere(...RECONCILE, '--json')
  expect(again.exitCode).toBe(5)
  expect(JSON.parse(again.out)).toMatchObject({ notes: [expect.stringContaining(name)] })
  await writeFile(path, whole)
  await expectAsUndisturbed(shop)
})

test('another run holds the lock: exit 6, saying which', async () => {
  const shop = await openShop()
  const holder = startScript('test/support/hold-run-lock.ts', [shop.database.url], {
    cwd: shop.dir,
    env: {},
  })
  onTestFinished(() => signalGroup(holder, 'SIGKILL'))
  await untilSaid(holder, /held/)
  const locked = await shop.run(...RECONCILE, '--json')
  expect(locked.exitCode).toBe(6)
  expect(JSON.parse(locked.out)).toMatchObject({
    error: { kind: 'LockedFault', exit_code: 6, message: expect.stringContaining('another run') },
  })
  expect(shop.sandbox.requests).toEqual([])
  // Its lock goes with a run that is killed.
  signalGroup(holder, 'SIGKILL')
  await holder.outcome
  await expectAsUndisturbed(shop)
})
