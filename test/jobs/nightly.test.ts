/** Nights in a row: which weeks are done again, and what is mailed. */
import { spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { addDays, parseDay, startOfDay } from '../../src/domain/day.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { type MailServer, startMailServer, subjectOf } from '../support/mail-server.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

let workshop: Workshop | null = null
let mail: MailServer | null = null
afterEach(async () => {
  await workshop?.close()
  await mail?.close()
  workshop = mail = null
})

async function open(): Promise<{ shop: Workshop; server: MailServer }> {
  const world = createWorld()
  plant(world, 'deposit_late')
  plant(world, 'deposit_duplicate')
  const shop = (workshop = await openWorkshop(world))
  const server = (mail = await startMailServer())
  Object.assign(shop.env, {
    SMTP_URL: server.url,
    MAIL_FROM: 'night@shop.example',
    MAIL_TO: 'books@shop.example',
  })
  return { shop, server }
}

/** The night before a day: the world as it was at 05:30, with the statements of the days before. */
async function night(shop: Workshop, day: string): Promise<number> {
  shop.sandbox.world.nowS = startOfDay(parseDay(day), 'Europe/Paris') + 5.5 * 3600
  await shop.writeBank()
  const { exitCode, err } = await shop.run('nightly', '--as-of', day)
  if (exitCode !== 0 && exitCode !== 4) throw new Error(err)
  return exitCode
}

/** Every third night: enough for each of the steps of a week. */
function nightsFrom(day: string, nights: number): string[] {
  return Array.from({ length: nights }, (_, after) => addDays(parseDay(day), after * 3))
}

describe('nights', () => {
  test('bring the weeks with open items up to date, and leave each as one run would', async () => {
    const { shop } = await open()
    for (const day of nightsFrom('2024-03-18', 7)) expect(await night(shop, day)).toBe(0)
    const seen = await shop.reportTexts('2024-W12')
    delete shop.sandbox.world.nowS
    const fresh = await openWorkshop(shop.sandbox.world)
    fresh.sandbox.world.nowS = startOfDay(parseDay('2024-04-05'), 'Europe/Paris') + 5.5 * 3600
    try {
      await fresh.writeBank()
      await fresh.run('reconcile', '--week', '2024-W12', '--as-of', '2024-04-05')
      expect(seen['discrepancies.csv']).toBe(
        (await fresh.reportTexts('2024-W12'))['discrepancies.csv'],
      )
    } finally {
      await fresh.close()
    }
  }, 120_000)

  test('tell on the very first one what exports of earlier weeks show, and find no more in another', async () => {
    const { shop, server } = await open()
    plant(shop.sandbox.world, 'export_differs')
    await night(shop, '2024-03-26')
    const current = await shop.reportTexts('2024-W13')
    expect(current['discrepancies.csv']).toContain(',export_differs,open,')
    const sent = server.mails.length
    await night(shop, '2024-03-26')
    expect(await shop.reportTexts('2024-W13')).toEqual(current)
    expect(server.mails).toHaveLength(sent)
  }, 60_000)

  test('mail what is new once, and say nothing when nothing changed', async () => {
    const { shop, server } = await open()
    await night(shop, '2024-03-25')
    const first = server.mails.map(subjectOf)
    expect(first.map((subject) => subject.slice(0, 'Alma 2024-W12'.length)).toSorted()).toEqual([
      'Alma 2024-W12',
      'Alma 2024-W13',
    ])
    for (const subject of first) {
      expect(subject).toMatch(/^Alma 2024-W1[23]: (all clear|\d+ open, \d+\.\d\d EUR at stake)$/)
    }
    expect(server.mails.join('')).not.toMatch(/customer|@example\.org/i)
    await night(shop, '2024-03-25')
    expect(server.mails).toHaveLength(first.length)
  }, 60_000)

  test('send again what could not be sent, and end with exit 4 until then', async () => {
    const { shop, server } = await open()
    server.refusing = true
    expect(await night(shop, '2024-03-25')).toBe(4)
    expect(server.mails).toHaveLength(0)
    server.refusing = false
    expect(await night(shop, '2024-03-25')).toBe(0)
    const sent = server.mails.length
    expect(sent).toBeGreaterThan(0)
    expect(await night(shop, '2024-03-25')).toBe(0)
    expect(server.mails).toHaveLength(sent)
  }, 60_000)
})

test('the schedule runs a night by the clock, and SIGTERM ends it cleanly', async () => {
  const { shop } = await open()
  await shop.writeBank()
  const schedule = spawn(process.execPath, ['--import', 'tsx', 'jobs/cli.ts', 'schedule'], {
    env: { ...process.env, ...shop.env, NIGHTLY_CRON: '*/3 * * * * *', SMTP_URL: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  schedule.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  schedule.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => schedule.on('exit', resolve))
  await expect.poll(() => said, { timeout: 40_000 }).toMatch(/the night ended with exit code 0/)
  const askedMs = performance.now()
  schedule.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(performance.now() - askedMs).toBeLessThan(10_000)
  await access(join(shop.dir, 'var', 'reports'))
}, 60_000)
