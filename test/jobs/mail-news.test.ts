/** What a mail and its page say of the mail before, over the whole job, with several entities too. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { parseDay, startOfDay } from '../../src/domain/day.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { type MailServer, startMailServer, subjectOf } from '../support/mail-server.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

const OUTPUT = fileURLToPath(new URL('../output/report-html', import.meta.url))
const WEEK = '2024-W12'

let shop: Workshop | null = null
let server: MailServer | null = null
afterEach(async () => {
  await shop?.close()
  await server?.close()
  shop = server = null
})

async function open(world: SandboxWorld): Promise<{ shop: Workshop; server: MailServer }> {
  shop = await openWorkshop(world)
  server = await startMailServer()
  Object.assign(shop.env, {
    SMTP_URL: server.url,
    MAIL_FROM: 'night@shop.example',
    MAIL_TO: 'books@shop.example',
  })
  return { shop, server }
}

/** The night before a day: the world as it was at 05:30, with the statements of the days before. */
async function night(opened: Workshop, day: string): Promise<number> {
  opened.sandbox.world.nowS = startOfDay(parseDay(day), 'Europe/Paris') + 5.5 * 3600
  await opened.writeBank()
  const { exitCode, err } = await opened.run('nightly', '--as-of', day)
  if (exitCode === 1) throw new Error(err)
  return exitCode
}

/** The plain part of a mail, its lines put together again. */
function plainOf(mail: string): string {
  const [, body = ''] = /Content-Type: text\/plain[^]*?\r\n\r\n([^]*?)\r\n--/.exec(mail) ?? []
  return body
    .replaceAll(/=\r\n/g, '')
    .replaceAll(/(?:=[0-9A-F]{2})+/g, (bytes) =>
      Buffer.from(bytes.replaceAll('=', ''), 'hex').toString(),
    )
    .replaceAll('\r\n', '\n')
}

/** The attached `report.html`. */
function pageIn(mail: string): string {
  const [, encoded = ''] =
    /filename=report\.html[^]*?\r\n\r\n([A-Za-z0-9+/=\r\n]+?)\r\n--/.exec(mail) ?? []
  return Buffer.from(encoded, 'base64').toString()
}

const mailsOf = (mails: readonly string[], period: string): string[] =>
  mails.filter((mail) => subjectOf(mail).startsWith(`Alma ${period}`))

describe('what changed since the last mail', () => {
  test('a payout goes missing, then comes late: the mails and the page say what is new and what became of the rest', async () => {
    const world = createWorld()
    plant(world, { code: 'deposit_late', period: WEEK })
    plant(world, { code: 'deposit_unexpected', period: WEEK })
    const opened = await open(world)

    expect(await night(opened.shop, '2024-03-25')).toBe(0)
    const [first = ''] = mailsOf(opened.server.mails, WEEK)
    expect(plainOf(first)).toContain('New (1)')
    expect(plainOf(first)).not.toContain('since the mail of')
    expect(await opened.shop.text(WEEK, 'report.html')).toContain(
      'No mail has told of this period yet.',
    )

    // Once its window is over the payout is missing.
    expect(await night(opened.shop, '2024-03-27')).toBe(0)
    const [, second = ''] = mailsOf(opened.server.mails, WEEK)
    const missing = plainOf(second)
    expect(missing).toMatch(/New since the mail of 2024-03-25 \(1\)\n- deposit_missing /)
    expect(missing).toMatch(/New in this period, told before \(1\)\n- deposit_unexpected /)
    const page = await opened.shop.text(WEEK, 'report.html')
    expect(page).toMatch(/Since the mail of 2024-03-25:[^]*<b>New<\/b> <a [^>]+>Payout has not arr/)
    expect(page).toContain('1 new, 0 changed, 0 settled or gone')
    await mkdir(OUTPUT, { recursive: true })
    await writeFile(join(OUTPUT, 'news.html'), page)

    // The page on the disk is the one in the mail, and a night without news leaves it as it is.
    expect(pageIn(second)).toBe(page)
    expect(await night(opened.shop, '2024-03-27')).toBe(0)
    expect(await opened.shop.text(WEEK, 'report.html')).toBe(page)

    // It comes after all.
    expect(await night(opened.shop, '2024-03-29')).toBe(0)
    const late = mailsOf(opened.server.mails, WEEK).at(-1) ?? ''
    expect(plainOf(late)).toMatch(/New since the mail of 2024-03-27 \(1\)\n- deposit_late /)
    expect(plainOf(late)).toMatch(/Gone since the mail of 2024-03-27 \(1\)\n- deposit_missing /)
    expect(await opened.shop.text(WEEK, 'report.html')).toMatch(
      /<b>Gone<\/b> Payout has not arrived/,
    )
  }, 120_000)

  test('what somebody accepted is settled in the next mail, and taken up again it has changed', async () => {
    const world = createWorld()
    plant(world, { code: 'deposit_unexpected', period: WEEK })
    const { shop: opened, server: mails } = await open(world)
    expect(await night(opened, '2024-03-25')).toBe(0)
    const [row] = await opened.report(WEEK, 'discrepancies.csv')
    const decide = async (kind: string): Promise<void> => {
      const flags = ['--discrepancy', row?.['discrepancy_id'] ?? '', '--by', 'Marie']
      const decided = await opened.run('decide', kind, ...flags, '--reason', 'looked at')
      expect(decided).toMatchObject({ exitCode: 0 })
    }
    await decide('accept')
    expect(await night(opened, '2024-03-26')).toBe(0)
    expect(plainOf(mailsOf(mails.mails, WEEK).at(-1) ?? '')).toMatch(
      /Settled since the mail of 2024-03-25 \(1\)\n- deposit_unexpected [^]*Accepted by Marie/,
    )
    await decide('reopen')
    expect(await night(opened, '2024-03-27')).toBe(0)
    expect(plainOf(mailsOf(mails.mails, WEEK).at(-1) ?? '')).toMatch(
      /Changed since the mail of 2024-03-26 \(1\)\n- deposit_unexpected /,
    )
    expect(await opened.text(WEEK, 'report.html')).toContain('it was accepted and is open again')
  }, 120_000)
})

describe('several entities', () => {
  /** Two shops with recipients of their own; the one in the north may have a key that is refused. */
  async function openTwo(): Promise<{
    shop: Workshop
    server: MailServer
    refuse(on: boolean): void
  }> {
    const world = createWorld({ accounts: ['north', 'south'], salesPerDay: 5 })
    plant(world, { code: 'deposit_unexpected', entity: 'south', period: WEEK })
    const opened = await open(world)
    const { env, dir } = opened.shop
    delete env['ALMA_API_KEY']
    delete env['MAIL_TO']
    await writeFile(
      join(dir, 'entities.json'),
      JSON.stringify(
        world.accounts.map(({ name, iban }) => ({
          name,
          apiKeyEnv: `KEY_${name.toUpperCase()}`,
          ibans: [iban],
          mailTo: [`${name}@group.example`],
        })),
      ),
    )
    env['ENTITIES_FILE'] = 'entities.json'
    env['KEY_SOUTH'] = world.accounts[1]?.apiKey ?? ''
    const refuse = (on: boolean): void => {
      env['KEY_NORTH'] = on ? 'sk_test_hunter2' : (world.accounts[0]?.apiKey ?? '')
    }
    refuse(false)
    return { ...opened, refuse }
  }

  test('each set of recipients is mailed about its own; one that fails is told so, and the night says it by its exit code', async () => {
    const { shop: opened, server: mails, refuse } = await openTwo()
    refuse(true)
    expect(await night(opened, '2024-03-25')).toBe(3)
    const weekMails = mailsOf(mails.mails, WEEK)
    const to = (name: string): string =>
      weekMails.find((mail) => mail.includes(`To: ${name}@group.example`)) ?? ''
    expect(weekMails).toHaveLength(2)
    expect(subjectOf(to('north'))).toBe(`Alma ${WEEK}: incomplete`)
    expect(plainOf(to('north'))).toMatch(/north is missing from this report: .*refused the key/)
    // Nothing of the other entity: neither its figures nor its files.
    expect(to('north')).not.toContain('discrepancies.csv\r\n')
    expect(plainOf(to('north'))).not.toContain('deposit_unexpected')
    expect(subjectOf(to('south'))).toMatch(/^Alma 2024-W12: incomplete, 1 open, .* at stake$/)
    expect(to('south')).toContain('filename=discrepancies.csv')
    expect(weekMails.join('')).not.toContain('hunter2')

    // The same night again says nothing new to anybody; once the key is right, north hears of it.
    expect(await night(opened, '2024-03-25')).toBe(3)
    expect(mailsOf(mails.mails, WEEK)).toHaveLength(2)
    refuse(false)
    expect(await night(opened, '2024-03-25')).toBe(0)
    const after = mailsOf(mails.mails, WEEK).slice(2)
    expect(after.map(subjectOf).toSorted()).toEqual([
      expect.stringMatching(/^Alma 2024-W12: 1 open/),
      `Alma ${WEEK}: all clear`,
    ])
  }, 120_000)

  test('what a reader must know is told to whom it concerns, in the mail and on its page', async () => {
    const { shop: opened, server: mails } = await openTwo()
    opened.env['LEDGER_SINCE'] = '2024-03-11'
    expect(await night(opened, '2024-03-25')).toBe(0)
    const known = (name: string): string => `The ledger of ${name} is known from 2024-03-11`
    for (const [own, other] of [
      ['north', 'south'],
      ['south', 'north'],
    ] as const) {
      const mail = mailsOf(mails.mails, WEEK).find((one) => one.includes(`${own}@group.example`))
      for (const told of [plainOf(mail ?? ''), pageIn(mail ?? '')]) {
        expect(told).toContain(known(own))
        expect(told).not.toContain(known(other))
      }
    }
    const page = await opened.text(WEEK, 'report.html')
    expect([page.includes(known('north')), page.includes(known('south'))]).toEqual([true, true])
  }, 120_000)

  test('a week that was signed with both stays signed while one of them fails', async () => {
    const { shop: opened, refuse } = await openTwo()
    expect(await night(opened, '2024-03-25')).toBe(0)
    const signed = await opened.reportTexts(WEEK)
    const close = ['close', '--week', WEEK, '--by', 'Marie', '--as-of', '2024-03-25']
    expect(await opened.run(...close)).toMatchObject({ exitCode: 0, err: '' })
    refuse(true)
    expect(await night(opened, '2024-03-29')).toBe(3)
    expect(await opened.reportTexts(WEEK)).toEqual(signed)
    expect(
      new Set((await opened.report('2024-W13', 'settlements.csv')).map((row) => row['entity'])),
    ).toEqual(new Set(['south']))
    refuse(false)
    expect(await night(opened, '2024-03-29')).toBe(0)
    expect(await opened.reportTexts(WEEK)).toEqual(signed)
  }, 120_000)
})
