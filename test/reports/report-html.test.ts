/** The page, seen by a real Chromium: as its reader sees it, on a screen, a phone and paper. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import axe from 'axe-core'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { MailedDiscrepancy } from '../../reports/changes.ts'
import { reportHtml, type ReportHtmlInput } from '../../reports/report-html/page.ts'
import { addDays, parseDay } from '../../src/domain/day.ts'
import { aboutAll } from '../../src/domain/note.ts'
import { parseAmount, sumOf } from '../../src/domain/money.ts'
import type { SettlementRow } from '../../src/domain/reconciliation.ts'
import { plantDemo } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type ReportRow } from '../support/workshop.ts'
import { launchChromium } from './chromium.ts'
import { discrepancy, journal, reconciliation, settlement } from './sample.ts'

/** What a person may want to look at after the tests; not part of the sources. */
const OUTPUT = fileURLToPath(new URL('../output/report-html', import.meta.url))
const DESKTOP = { width: 1280, height: 900 }
const PHONE = { width: 390, height: 844 }

let browser: Browser
/** The demo's week as the whole job writes it, and its CSV files. */
let demoFile = ''
let discrepancies: ReportRow[] = []
let settlements: ReportRow[] = []
let summary: ReportRow[] = []
let journalLines: ReportRow[] = []
let world: SandboxWorld
const pages: Page[] = []

beforeAll(async () => {
  await mkdir(OUTPUT, { recursive: true })
  world = createWorld()
  plantDemo(world)
  const workshop = await openWorkshop(world)
  try {
    await workshop.writeBank()
    const week = ['reconcile', '--week', '2024-W12', '--as-of', '2024-04-05']
    expect(await workshop.run(...week)).toMatchObject({ exitCode: 0, err: '' })
    demoFile = join(OUTPUT, 'demo.html')
    const written = join(workshop.dir, 'var', 'reports', '2024-W12', 'report.html')
    await writeFile(demoFile, await readFile(written))
    discrepancies = await workshop.report('2024-W12', 'discrepancies.csv')
    settlements = await workshop.report('2024-W12', 'settlements.csv')
    summary = await workshop.report('2024-W12', 'summary.csv')
    journalLines = await workshop.report('2024-W12', 'journal.csv')
  } finally {
    await workshop.close()
  }
  browser = await launchChromium()
})

afterAll(() => browser?.close())

/** Opens a file as a reader does, with scripts switched off; what it asks the network for is recorded. */
async function open(
  file: string,
  options: BrowserContextOptions = { viewport: DESKTOP },
): Promise<{ page: Page; requests: string[]; complaints: string[] }> {
  const context = await browser.newContext({ javaScriptEnabled: false, ...options })
  const page = await context.newPage()
  pages.push(page)
  const requests: string[] = []
  const complaints: string[] = []
  page.on('request', (request) => requests.push(request.url()))
  page.on('console', (message) => complaints.push(message.text()))
  await page.goto(pathToFileURL(file).href)
  return { page, requests, complaints }
}

/** Writes a page made of data, and opens it. */
async function openMade(input: Partial<ReportHtmlInput>, options?: BrowserContextOptions) {
  const text = reportHtml({ reconciliation, journal, notes: [], ...input })
  const file = join(tmpdir(), `alma-page-${process.pid}-${pages.length}.html`)
  await writeFile(file, text)
  try {
    return { ...(await open(file, options)), text }
  } finally {
    await rm(file)
  }
}

/** With scripts, for the checks that are scripts themselves. */
const CHECKED: BrowserContextOptions = { viewport: DESKTOP, javaScriptEnabled: true }

/** Contrast as the page is painted, and the rules of structure. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const found = await page.evaluate(async () => {
    // The function runs in the browser, where the line above has put the library.
    const library: typeof axe = Reflect.get(globalThis, 'axe')
    const { violations: broken } = await library.run()
    return broken.map(({ id, nodes }) => ({ id, where: nodes.map(({ html }) => html).slice(0, 3) }))
  })
  return found.map(({ id, where }) => `${id}: ${where.join(' ')}`)
}

const euros = (text: string): bigint => parseAmount(text.replace(/ EUR$/, ''), 'EUR')

async function attributes(found: Locator, name: string): Promise<string[]> {
  const all = await found.all()
  return Promise.all(all.map(async (one) => (await one.getAttribute(name)) ?? ''))
}

/** The cells of the table with this caption, row by row, as the reader sees them. */
async function cellsOf(page: Page, caption: string): Promise<string[][]> {
  const rows = await page.locator('table', { hasText: caption }).first().locator('tbody tr').all()
  return Promise.all(
    rows.map(async (row) =>
      (await row.locator('th, td').allTextContents()).map((text) =>
        text.replaceAll(/\s+/g, ' ').trim(),
      ),
    ),
  )
}

describe('every way of looking at it', () => {
  test.each<[string, BrowserContextOptions]>([
    ['desktop-light', { viewport: DESKTOP, colorScheme: 'light' }],
    ['desktop-dark', { viewport: DESKTOP, colorScheme: 'dark' }],
    ['phone-light', { viewport: PHONE, colorScheme: 'light', isMobile: true }],
    ['phone-dark', { viewport: PHONE, colorScheme: 'dark', isMobile: true }],
  ])('%s: legible, well built, not wider than the screen', async (name, look) => {
    const options = { ...look, javaScriptEnabled: true }
    const { page, requests, complaints } = await open(demoFile, options)
    await page.screenshot({ path: join(OUTPUT, `${name}.png`), fullPage: true })
    expect(await violations(page)).toEqual([])
    const { width } = options.viewport ?? DESKTOP
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    // The page itself, and nothing more.
    expect(requests).toEqual([pathToFileURL(demoFile).href])
    expect(complaints).toEqual([])
  })

  test('the two colour schemes differ, and each paints its own paper', async () => {
    const papers = await Promise.all(
      (['light', 'dark'] as const).map(async (colorScheme) => {
        const { page } = await open(demoFile, { viewport: DESKTOP, colorScheme })
        return page.evaluate('getComputedStyle(document.body).backgroundColor')
      }),
    )
    expect(papers).toEqual(['rgb(255, 255, 255)', 'rgb(21, 24, 28)'])
  })

  test('paper: A4, dark ink on white even for who reads in the dark', async () => {
    const { page } = await open(demoFile, { viewport: DESKTOP, colorScheme: 'dark' })
    const pdf = await page.pdf({ path: join(OUTPUT, 'print.pdf'), preferCSSPageSize: true })
    const boxes = pdf.toString('latin1').match(/\/MediaBox\s*\[[^\]]+\]/g) ?? []
    expect(boxes.length).toBeGreaterThan(2)
    expect(boxes.length).toBeLessThan(12)
    for (const box of boxes) expect(box).toMatch(/\[0 0 59[45]\.?\d* 84[12]\.?\d*\]/)
    await page.emulateMedia({ media: 'print' })
    expect(await page.evaluate('getComputedStyle(document.body).color')).toBe('rgb(0, 0, 0)')
    // A foot that is repeated on each page would stand above rows that it already counts.
    expect(await page.evaluate('getComputedStyle(document.querySelector("tfoot")).display')).toBe(
      'table-row-group',
    )
  })
})

describe('what it says', () => {
  test('in order: does it tie, what is new, at stake and how old, what to do, then the tables', async () => {
    const { page } = await open(demoFile)
    expect(await page.title()).toBe('Alma 2024-W12: reconciliation')
    expect(await page.locator('h1').textContent()).toBe('2024-W12')
    expect(await page.locator('main h2').allTextContents()).toEqual([
      'Does it tie',
      'What is new',
      'At stake, and how old',
      'What to do next',
      'From gross sales to deposits',
      'When payouts arrived',
      'How we are doing',
      'Settlements',
      'Refunds',
      'Open items',
    ])
    const verdict = await page.locator('.verdict').innerText()
    const stillOpen = discrepancies.filter(({ status }) => status === 'new' || status === 'open')
    const stake = sumOf(
      stillOpen.map(({ difference }) => euros((difference ?? '').replace('-', ''))),
    )
    expect(verdict).toContain('✓ The figures tie.')
    expect(euros(/, ([\d.]+) EUR at stake/.exec(verdict.replaceAll('\u00a0', ''))?.[1] ?? '')).toBe(
      stake,
    )
    expect(verdict).toContain(`${stillOpen.length} discrepancies are open`)
  })

  test('the proof, figure for figure as summary.csv has it', async () => {
    const { page } = await open(demoFile)
    const shown = [
      ...(await cellsOf(page, 'The balance at Alma rolls forward')),
      ...(await cellsOf(page, 'Each payout is accounted for')),
    ].map(([, amount, rows]) => `${amount} ${rows}`)
    const written = summary
      .filter(({ line = '' }) => !/^(deposits|discrepancies|period)_/.test(line))
      .map(({ amount, rows }) => `${amount} ${rows}`)
    expect(shown.toSorted()).toEqual(written.toSorted())
    const ties = await page.locator('#proof ~ p.good').allTextContents()
    expect(ties).toEqual([
      '✓ Opening balance and movements give the closing balance.',
      '✓ Matched, in transit and in discrepancy give what was sent.',
      '✓ journal.csv moves account 467 as the ledger moved.',
    ])
  })

  test('each discrepancy with its explanation, its figures, its ids and what to do', async () => {
    const { page } = await open(demoFile)
    expect(discrepancies.length).toBeGreaterThan(5)
    expect(await page.locator('article').count()).toBe(discrepancies.length)
    for (const row of discrepancies) {
      const card = page.locator('article', { hasText: row['discrepancy_id'] ?? '' })
      const text = ((await card.textContent()) ?? '').replaceAll(/\s+/g, ' ')
      const columns =
        'code explanation next_step since expected_amount actual_amount payout_id payment_id refund_id balance_transaction_id bank_reference bank_account bank_file'
      for (const column of columns.split(' ')) {
        expect(text).toContain(row[column] ?? '')
      }
    }
  })

  test('what it costs: lacking, too much, or only in the figures; together all that is at stake', async () => {
    const { page } = await open(demoFile)
    const sentence = await page.locator('.verdict .split').first().innerText()
    const parts = [...sentence.replaceAll('\u00a0', '').matchAll(/([\d.]+) EUR/g)]
    const ofIt = parts.map(([, amount = '']) => euros(amount))
    const stillOpen = discrepancies.filter(({ status }) => status === 'new' || status === 'open')
    const stake = stillOpen.map(({ difference }) => euros((difference ?? '').replace('-', '')))
    expect(sumOf(ofIt)).toBe(sumOf(stake))
    const costOf = (code: string): Promise<string> =>
      page
        .locator('article', { hasText: code })
        .locator('.next', { hasText: 'What it costs' })
        .innerText()
    // The signs of a deposit and of a refund mean opposite things.
    expect(await costOf('deposit_missing')).toMatch(/EUR that you should have and do not have/)
    expect(await costOf('refund_amount')).toMatch(/5\.00 EUR was taken from you/)
    expect(await costOf('deposit_duplicate')).toMatch(/EUR too much in your hands/)
    expect(await costOf('refund_not_deducted')).toMatch(/85\.00 EUR was not taken from you yet/)
    expect(await costOf('export_differs')).toMatch(/7\.00 EUR by which two records disagree/)
  })

  test('where the journal put the money, on the card itself', async () => {
    const { page } = await open(demoFile)
    const booked = page
      .locator('article', { hasText: 'deposit_duplicate' })
      .locator('dl.facts div', { hasText: 'In journal.csv' })
    const [duplicate] = discrepancies.filter(({ code }) => code === 'deposit_duplicate')
    const lines = journalLines.filter((line) => line['document'] === duplicate?.['bank_reference'])
    expect(lines.map(({ account }) => account)).toEqual(['512', '471'])
    const text = ((await booked.textContent()) ?? '').replaceAll(/\s+/g, ' ')
    for (const { account = '', debit = '', credit = '' } of lines) {
      const side = debit === '0.00' ? `credit ${credit}` : `debit ${debit}`
      expect(text).toContain(`${account} ${side}`)
    }
  })

  test('the waterfall adds up from gross sales to the deposits, each step a column of settlements.csv', async () => {
    const { page } = await open(demoFile)
    const steps = new Map(
      (await cellsOf(page, 'From gross sales to deposits')).map(([title = '', amount = '']) => [
        title,
        euros(amount),
      ]),
    )
    const at = (title: string): bigint => steps.get(title) ?? 0n
    const ofPeriod = settlements.filter(({ created = '' }) => created >= '2024-03-18')
    const column = (name: string): bigint => sumOf(ofPeriod.map((row) => euros(row[name] ?? '')))
    expect(at('Gross sales')).toBe(column('gross'))
    expect(at('Fees')).toBe(column('fees'))
    expect(at('Refunds')).toBe(column('refunds'))
    expect(at('Payouts sent')).toBe(column('payout_amount'))
    expect(at('Gross sales') + at('Fees') + at('Refunds') + at('Adjustments, others')).toBe(
      at('Payouts sent'),
    )
    expect(
      at('Payouts sent') + at('Not arrived: in transit') + at('Not arrived: in discrepancy'),
    ).toBe(at('Arrived at the bank'))
  })

  test('every link on the page leads somewhere on it, and no name is given twice', async () => {
    const { page } = await open(demoFile)
    const ids = await attributes(page.locator('[id]'), 'id')
    const links = await attributes(page.locator('a'), 'href')
    expect(new Set(ids).size).toBe(ids.length)
    expect(links.length).toBeGreaterThan(20)
    for (const link of links) expect(ids).toContain(link.replace(/^#/, ''))
  })

  test('nothing of the customers', async () => {
    const text = await readFile(demoFile, 'utf8')
    const customers = world.accounts.flatMap(({ payments }) =>
      [...payments.values()].map(({ customer }) => customer),
    )
    expect(customers.length).toBeGreaterThan(100)
    expect(text).not.toMatch(/[\w.-]+@[\w-]+\.\w/)
    for (const { last_name, email } of customers) {
      expect(text).not.toContain(email)
      expect(text).not.toMatch(new RegExp(`\\b${last_name}\\b`))
    }
  })
})

describe('from data that is not the demo’s', () => {
  test('a clear week says so, in each section', async () => {
    const clear = {
      ...reconciliation,
      discrepancies: [],
      settlements: [],
      refunds: [],
      openItems: [],
    }
    const { page } = await openMade({ reconciliation: clear }, CHECKED)
    const text = await page.locator('body').innerText()
    for (const sentence of [
      'Nothing is open: all clear.',
      'Nothing new in this period.',
      'Nothing to do.',
      'No payout was sent in this period',
      'Nothing waits.',
    ]) {
      expect(text).toContain(sentence)
    }
    expect(await violations(page)).toEqual([])
  })

  test('figures that do not tie are said first and plainly', async () => {
    const summaryLine = { entity: 'default', currency: 'EUR', rows: 1 }
    const { page } = await openMade({
      reconciliation: {
        ...reconciliation,
        summary: [
          { ...summaryLine, line: 'opening_balance', amountMinor: 100n },
          { ...summaryLine, line: 'from_payout', amountMinor: -50n },
          { ...summaryLine, line: 'closing_balance', amountMinor: 49n },
        ],
      },
    })
    expect(await page.locator('.verdict').innerText()).toContain('✗ The figures do not tie.')
    expect(await page.locator('#proof ~ p.bad').first().innerText()).toContain(
      'Opening balance and movements give the closing balance.',
    )
  })

  test('what is missing stands at the head, the journal’s refusal too', async () => {
    const { page } = await openMade(
      {
        notes: [aboutAll('The statement of 2024-03-22 was rejected.')],
        journal: { ...journal, books: [], vat: [], notes: [aboutAll('Set FEE_VAT.')] },
      },
      CHECKED,
    )
    const box = page.locator('header .notes')
    expect(await box.locator('li').allInnerTexts()).toEqual([
      'The statement of 2024-03-22 was rejected.',
      'Set FEE_VAT.',
    ])
    expect(await violations(page)).toEqual([])
  })

  test('hostile texts stay texts', async () => {
    const attack = `"><script>document.title='x'</script><img src=x onerror=alert(1)>&amp;'\u202e</style>`
    const { page, requests, complaints } = await openMade(
      {
        notes: [aboutAll(attack)],
        reconciliation: {
          ...reconciliation,
          discrepancies: [
            {
              ...discrepancy,
              discrepancyId: attack,
              payoutId: attack,
              bankReference: attack,
              bankFile: attack,
              explanation: attack,
              nextStep: attack,
            },
          ],
          settlements: [
            { ...settlement, payoutId: attack, bankReferences: [attack], note: attack },
          ],
        },
      },
      CHECKED,
    )
    expect(await page.title()).toBe('Alma 2024-W12: reconciliation')
    expect(await page.locator('script, img, body style').count()).toBe(0)
    expect(requests).toHaveLength(1)
    expect(complaints).toEqual([])
    // The sign that turns the direction of writing is shown as unknown, all else literally.
    const literal = attack.replace('\u202e', '\ufffd')
    expect(await page.locator('.notes li').textContent()).toBe(literal)
    expect(await page.locator('article p').nth(1).textContent()).toBe(literal)
    expect(await page.locator('article dd a').getAttribute('href')).toMatch(/^#[\w-]+$/)
    await page.locator('article dd a').click()
    expect(await page.locator(':target').count()).toBe(1)
  })

  test('thousands are set apart for the eye, but not in what is copied', async () => {
    const { page } = await openMade({})
    const cell = page.locator('article dd', { hasText: '2500.00' }).first()
    expect(await cell.textContent()).toMatch(/^\s*2500\.00 EUR/)
    expect(await cell.locator('.k').count()).toBe(1)
  })

  test('a table that is cut says how much is missing and where it stands', async () => {
    const many = Array.from({ length: 600 }, (_, at): SettlementRow => ({
      ...settlement,
      payoutId: `payout_${at}`,
      createdDay: addDays(parseDay('2024-03-18'), at % 7),
    }))
    const { page } = await openMade({ reconciliation: { ...reconciliation, settlements: many } })
    const section = page.locator('section', { has: page.locator('#settlements') })
    expect(await section.innerText()).toContain('100 more rows stand in settlements.csv')
    expect(await section.locator('tbody tr').count()).toBe(500)
    // Sums are over all of them, shown or not.
    const total = await section.locator('tfoot td').first().textContent()
    expect(euros((total ?? '').trim())).toBe(600n * settlement.grossMinor)
  })

  test('since the last mail: what is new, changed, settled or gone, each told once and linked', async () => {
    const mailed: MailedDiscrepancy = {
      entity: 'default',
      discrepancyId: 'd_old',
      code: 'deposit_missing',
      status: 'new',
      currency: 'EUR',
      differenceMinor: -100n,
      since: parseDay('2024-03-19'),
      explanation: 'Nothing came.',
    }
    const rows = [
      { ...discrepancy, discrepancyId: 'd_new' },
      { ...discrepancy, discrepancyId: 'd_changed', differenceMinor: -700n },
      { ...discrepancy, discrepancyId: 'd_again', status: 'reopened' as const },
      { ...discrepancy, discrepancyId: 'd_settled', status: 'cleared' as const },
      { ...discrepancy, discrepancyId: 'd_same' },
    ]
    const asMailed = (id: string, changes: Partial<MailedDiscrepancy> = {}): MailedDiscrepancy => ({
      ...discrepancy,
      discrepancyId: id,
      ...changes,
    })
    const lastMail = {
      asOf: parseDay('2024-03-25'),
      entities: ['default'],
      discrepancies: [
        mailed,
        asMailed('d_changed', { differenceMinor: -500n }),
        asMailed('d_again', { status: 'accepted' }),
        asMailed('d_settled'),
        asMailed('d_same'),
        // What was settled then and is not named any more is no news.
        asMailed('d_long_ago', { status: 'cleared' }),
      ],
    }
    const { page } = await openMade(
      {
        reconciliation: { ...reconciliation, discrepancies: rows },
        lastMails: [lastMail, { asOf: null, entities: ['Shop'], discrepancies: [] }],
      },
      CHECKED,
    )
    const told = await page.locator('.since li').allInnerTexts()
    expect(told.map((text) => text.replaceAll('\n', ' '))).toEqual([
      expect.stringMatching(/^New Another amount arrived/),
      expect.stringMatching(/^Changed .*the mail said -5.00 EUR\.$/),
      expect.stringMatching(/^Changed .*it was accepted and is open again\.$/),
      expect.stringMatching(/^Cleared Another amount/),
      expect.stringMatching(/^Gone Payout has not arrived, -1\.00 EUR, since 2024-03-19 \(d_old\)/),
    ])
    expect(await page.locator('.since').innerText()).toContain(
      'No mail about Shop has told of this period yet.',
    )
    expect(await page.locator('.verdict').innerText()).toContain(
      '1 new, 2 changed, 2 settled or gone',
    )
    await page.locator('.since li a').first().click()
    expect(await page.locator(':target').count()).toBe(1)
    expect(await violations(page)).toEqual([])
  })

  test('several entities and currencies are kept apart', async () => {
    const lines = [
      ['default', 'EUR'],
      ['Shop', 'EUR'],
      ['Shop', 'JPY'],
    ].map(([entity = '', currency = '']) => ({
      line: 'opening_balance',
      entity,
      currency,
      amountMinor: 12_345n,
      rows: 3,
    }))
    const other = { ...discrepancy, discrepancyId: 'd_2', entity: 'Shop', currency: 'JPY' }
    const { page } = await openMade(
      {
        reconciliation: {
          ...reconciliation,
          summary: lines,
          discrepancies: [discrepancy, other],
          settlements: [settlement, { ...settlement, entity: 'Shop', currency: 'JPY' }],
        },
      },
      CHECKED,
    )
    const captions = await page.locator('caption').allTextContents()
    const proofs = captions.filter((caption) => caption.includes('rolls forward'))
    expect(proofs.map((caption) => caption.trim())).toEqual([
      'The balance at Alma rolls forward: default, EUR',
      'The balance at Alma rolls forward: Shop, EUR',
      'The balance at Alma rolls forward: Shop, JPY',
    ])
    expect(await page.locator('.verdict').innerText()).toContain(
      '1204.50 EUR + 120450 JPY at stake',
    )
    expect(await violations(page)).toEqual([])
  })

  test('the same facts give the same bytes', () => {
    const input = { reconciliation, journal, notes: [aboutAll('one')] }
    expect(reportHtml(input)).toBe(reportHtml(structuredClone(input)))
  })
})
