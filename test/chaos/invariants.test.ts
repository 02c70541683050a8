/** What must hold of every report: held by whole worlds, and refused where it does not. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { refuteFiles } from '../../jobs/read-back.ts'
import { wholeText } from '../../reports/text.ts'
import { type ReadableText, reportTexts } from '../../reports/write.ts'
import type { CsvDialect } from '../../reports/csv.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import type { Reconciliation } from '../../src/domain/reconciliation.ts'
import { booksOf } from '../../src/sandbox/books.ts'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { gatherInMemory } from '../../src/sandbox/gather.ts'
import { planTrial, plantBeforeLook, TRIAL_POLICY } from '../../src/sandbox/trial.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { journal, run } from '../reports/sample.ts'
import { brokenInvariants } from './invariants.ts'

describe('damage to what is stored', () => {
  test.concurrent.each(brokenInvariants.map((blow) => [blow.what, blow] as const))(
    '%s',
    async (what, { strike }) => {
      const folder = await mkdtemp(join(tmpdir(), 'alma-damage-'))
      try {
        const { lost, leaked } = await strike({ chance: chanceOf(`invariant/${what}`), folder })
        expect({ lost, leaked }).toEqual({ lost: [], leaked: [] })
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
    60_000,
  )
})

/** A world of the judge with its breaks, judged in the midst of things and when all is over. */
function judged(seed: number): Reconciliation[] {
  const trial = planTrial(seed)
  const world = createWorld(trial.world)
  plantBeforeLook(world, trial)
  delete world.nowS
  return [trial.asOf, ...trial.cleanAsOf].map((asOf) =>
    reconcile(gatherInMemory(booksOf(world, { ...trial, asOf, policy: TRIAL_POLICY }))),
  )
}

function filesOf(reconciliation: Reconciliation, dialect: CsvDialect): Map<string, string> {
  const texts = reportTexts({ reconciliation, journal, dialect, run })
  return new Map([...texts].map(([name, text]) => [name, wholeText(text)]))
}

describe('a report read back', () => {
  const reports = Array.from({ length: 12 }, (_, at) => judged(at + 100)).flat()

  test.each(['iso', 'fr'] as const)('ties in every world of the judge (%s)', async (dialect) => {
    for (const report of reports) {
      expect(report.controlFaults).toEqual([])
      expect(await refuteFiles(filesOf(report, dialect), report, dialect)).toEqual([])
    }
  })

  /** Tables and the columns of which a cent, a word or a number more must be noticed. */
  const COLUMNS: Readonly<Record<string, readonly string[]>> = {
    'settlements.csv': ['net', 'payout_amount', 'residual', 'status'],
    'summary.csv': ['amount', 'rows', 'line'],
    'open_items.csv': ['item'],
  }

  test('does not tie once a cell is another', async () => {
    const chance = chanceOf('cells')
    let changed = 0
    for (const report of reports) {
      for (const [name, columns] of Object.entries(COLUMNS)) {
        const texts = filesOf(report, 'iso')
        const lines = (texts.get(name) ?? '').split('\n')
        const titles = lines[0]?.split(',') ?? []
        const places = lines.flatMap((line, at) => {
          const isTotal = /^(deposits_received|payouts_in_discrepancy|period_)/.test(line)
          return at === 0 || line === '' || line.includes('"') || isTotal ? [] : [at]
        })
        if (places.length === 0) continue
        const at = chance.one(places)
        const cells = lines[at]?.split(',') ?? []
        const place = titles.indexOf(chance.one(columns))
        const cell = cells[place] ?? ''
        cells[place] = /^-?[\d.]+$/.test(cell) ? addOne(cell) : 'missing'
        texts.set(name, lines.with(at, cells.join(',')).join('\n'))
        if (cell === 'missing') continue
        expect(await refuteFiles(texts, report, 'iso'), `${name}: ${cell}`).not.toEqual([])
        changed += 1
      }
    }
    expect(changed).toBeGreaterThan(60)
  })

  test.each(['discrepancies.csv', 'settlements.csv', 'refunds.csv', 'open_items.csv'])(
    'does not tie once %s has a row less, or one twice',
    async (name) => {
      const chance = chanceOf(name)
      let changed = 0
      for (const report of reports) {
        const texts = filesOf(report, 'iso')
        const [titles = '', ...rows] = (texts.get(name) ?? '').split(
          /\n(?=disc_|payout_|refund_|row_)/,
        )
        if (rows.length === 0) continue
        const at = chance.whole(0, rows.length - 1)
        for (const spoilt of [
          rows.toSpliced(at, 1),
          rows.toSpliced(at, 0, rows[at]?.trimEnd() ?? ''),
        ]) {
          const text = [titles, ...spoilt].join('\n')
          const files = new Map(texts).set(name, text.endsWith('\n') ? text : `${text}\n`)
          expect(await refuteFiles(files, report, 'iso')).not.toEqual([])
          changed += 1
        }
      }
      expect(changed).toBeGreaterThan(10)
    },
  )

  test('ties where ids of the provider look like formulas', async () => {
    const [report] = reports.filter(({ refunds }) => refunds.length > 1)
    if (report === undefined) throw new Error('no world has refunds')
    const refunds = report.refunds.map((refund, at) => ({ ...refund, refundId: `=${at}+1` }))
    const hostile = { ...report, refunds }
    const texts = filesOf(hostile, 'iso')
    expect(texts.get('refunds.csv')).toContain("'=0+1")
    expect(await refuteFiles(texts, hostile, 'iso')).toEqual([])
  })

  test('does not tie once a posting is another, a file is gone or cannot be read', async () => {
    const [report] = reports
    if (report === undefined) throw new Error('no world was judged')
    const texts = filesOf(report, 'iso')
    const posted = texts.get('journal.csv') ?? ''
    const journalFile = (text: string): Promise<string[]> =>
      refuteFiles(new Map(texts).set('journal.csv', text), report, 'iso')
    expect(await journalFile(posted)).toEqual([])
    expect(
      await journalFile(posted.replace(/(\d)\.(\d\d)/, (_, a, b) => `${Number(a) + 1}.${b}`)),
    ).toEqual(['journal.csv: debits and credits in EUR are not equal'])
    const without = new Map(texts)
    without.delete('settlements.csv')
    expect(await refuteFiles(without, report, 'iso')).toEqual([
      'the report cannot be read back: there is no settlements.csv',
    ])
    async function* unreadable(): AsyncGenerator<string> {
      yield* await Promise.resolve([posted.slice(0, 100)])
      throw new Error('EIO: i/o error')
    }
    const onBadDisk = new Map<string, ReadableText>(texts).set('journal.csv', {
      [Symbol.asyncIterator]: unreadable,
    })
    await expect(refuteFiles(onBadDisk, report, 'iso')).rejects.toThrow('EIO')
    const torn = new Map(texts).set('summary.csv', 'line,entity\nopening_balance,default\n')
    expect(await refuteFiles(torn, report, 'iso')).toHaveLength(1)
  })
})

/** A cent or one more, in the same form. */
function addOne(cell: string): string {
  if (!cell.includes('.')) return String(Number(cell) + 1)
  const minor = BigInt(cell.replace('.', '')) + 1n
  const digits = String(minor < 0n ? -minor : minor).padStart(3, '0')
  return `${minor < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
}
