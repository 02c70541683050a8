import { createHash, randomUUID } from 'node:crypto'
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Journal } from '../src/domain/journal.ts'
import type { Reconciliation } from '../src/domain/reconciliation.ts'
import { makeFolder } from '../src/make-folder.ts'
import type { MetricsOfPeriod } from '../src/domain/metrics.ts'
import type { LastMail } from './changes.ts'
import type { CsvDialect } from './csv.ts'
import { discrepanciesCsv } from './discrepancies.ts'
import { journalCsv } from './journal.ts'
import { openItemsCsv } from './open-items.ts'
import { plansCsv } from './plans-csv.ts'
import { refundsCsv } from './refunds.ts'
import { withoutHistory } from './report-html/history.ts'
import { reportHtml } from './report-html/page.ts'
import { settlementsCsv } from './settlements.ts'
import { summaryCsv } from './summary.ts'
import { factsOfSummaryJson, jsonText, type ReportRun, summaryJson } from './summary-json.ts'

export interface WriteReportsInput {
  readonly reconciliation: Reconciliation
  readonly journal: Journal
  /** The folder in which the period's folder stands or is made. */
  readonly dir: string
  readonly dialect: CsvDialect
  readonly run: ReportRun
  /** For each set of recipients; left out: nothing is known of mails. */
  readonly lastMails?: readonly LastMail[]
  /** As in `ReportHtmlInput`. */
  readonly history?: readonly MetricsOfPeriod[]
  /** SHA-256 (hex) of the manifest written last for the same set of entities; null: none yet. */
  readonly previousManifestSha256: string | null
  /** Looks at the files before any of them is written, and throws if they must not be. */
  readonly examine?: (texts: ReadonlyMap<string, string>) => void
}

interface WrittenFile {
  readonly name: string
  /** Lower-case hex. */
  readonly sha256: string
  readonly bytes: number
}

export interface WrittenReports {
  /** The period's folder. */
  readonly dir: string
  /** The files that the manifest lists, in its order. */
  readonly files: readonly WrittenFile[]
  readonly manifestSha256: string
  /** False: what stood there says the same already, so nothing was touched. */
  readonly changed: boolean
}

const MANIFEST = 'manifest.json'
const PAGE = 'report.html'
const SUMMARY_JSON = 'summary.json'

/**
 * Writes the files of a period. Each appears whole or not at all, the manifest last, so a folder
 * whose manifest fits its files is complete. Where everything that follows from the facts stands
 * there already, nothing is rewritten, not even the run id in `summary.json`.
 * @throws the file system's own error (with `code` and `path`) if the folder cannot be written.
 */
export async function writeReports(input: WriteReportsInput): Promise<WrittenReports> {
  const { reconciliation, run } = input
  const dir = join(input.dir, reconciliation.period.label)
  const texts = reportTexts(input)
  input.examine?.(texts)
  const describe = (files: readonly WrittenFile[], previous: string | null): string =>
    jsonText({
      period: reconciliation.period.label,
      as_of: reconciliation.asOf,
      entities: run.entities,
      files,
      previous_manifest_sha256: previous,
    })

  const standing = await readStanding(dir, texts)
  if (standing !== null) {
    const { files, manifest } = standing
    if (manifest === describe(files, previousIn(manifest))) {
      return { dir, files, manifestSha256: sha256(manifest), changed: false }
    }
  }

  const files = [...texts].map(([name, text]) => describeFile(name, text))
  const manifest = describe(files, input.previousManifestSha256)
  await writeAll(dir, [...texts, [MANIFEST, manifest]])
  return { dir, files, manifestSha256: sha256(manifest), changed: true }
}

/** The files of a period, but for the manifest: text by name. */
export function reportTexts({
  reconciliation,
  journal,
  dialect,
  run,
  lastMails = [],
  history = [],
}: Pick<
  WriteReportsInput,
  'reconciliation' | 'journal' | 'dialect' | 'run' | 'lastMails' | 'history'
>): Map<string, string> {
  return new Map([
    ['discrepancies.csv', discrepanciesCsv(reconciliation.discrepancies, dialect)],
    ['settlements.csv', settlementsCsv(reconciliation.settlements, dialect)],
    ['refunds.csv', refundsCsv(reconciliation.refunds, dialect)],
    ['open_items.csv', openItemsCsv(reconciliation.openItems, dialect)],
    ['journal.csv', journalCsv(journal.entries, run.entities, dialect)],
    ['summary.csv', summaryCsv(reconciliation.summary, dialect)],
    ['plans.csv', plansCsv(reconciliation.plans?.rows ?? [], dialect)],
    [PAGE, reportHtml({ reconciliation, journal, notes: run.notes, lastMails, history })],
    [SUMMARY_JSON, summaryJson(reconciliation, run)],
  ])
}

/**
 * Writes files beside a period's report that its manifest does not list: they repeat what it holds in
 * another form, and are made only when asked for.
 */
export async function writeBeside(
  dir: string,
  files: readonly { readonly name: string; readonly text: string }[],
): Promise<void> {
  await writeAll(
    dir,
    files.map(({ name, text }) => [name, text]),
  )
}

/** What stands in the folder, if it says the same as the texts; null if anything differs. */
async function readStanding(
  dir: string,
  texts: ReadonlyMap<string, string>,
): Promise<{ files: WrittenFile[]; manifest: string } | null> {
  const files: WrittenFile[] = []
  for (const [name, text] of texts) {
    const found = await readIfThere(join(dir, name))
    if (found === null || !saysTheSame(name, found, text)) return null
    files.push(describeFile(name, found))
  }
  const manifest = await readIfThere(join(dir, MANIFEST))
  return manifest === null ? null : { files, manifest }
}

function saysTheSame(name: string, found: string, text: string): boolean {
  if (found === text) return true
  // Another period's report, made in between, is no news of this one.
  if (name === PAGE) return withoutHistory(found) === withoutHistory(text)
  return name === SUMMARY_JSON && factsOfSummaryJson(found) === factsOfSummaryJson(text)
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** The chain's link that a manifest states; null if it is the first, or no manifest at all. */
function previousIn(manifest: string): string | null {
  return /^ {2}"previous_manifest_sha256": "([0-9a-f]{64})"$/m.exec(manifest)?.[1] ?? null
}

function describeFile(name: string, text: string): WrittenFile {
  return { name, sha256: sha256(text), bytes: Buffer.byteLength(text) }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

const TEMPORARY = /^\.[\w-]+\.(csv|html|json|txt)\.[0-9a-f-]{36}\.tmp$/

/** All files under temporary names first, then renamed in order, so that little can fail between. */
async function writeAll(dir: string, texts: readonly (readonly [string, string])[]): Promise<void> {
  await makeFolder(dir)
  const temporary = texts.map(([name]) => join(dir, `.${name}.${randomUUID()}.tmp`))
  try {
    for (const [index, [, text]] of texts.entries()) {
      await writeThrough(temporary[index] ?? '', text)
    }
    for (const [index, [name]] of texts.entries()) {
      await rename(temporary[index] ?? '', join(dir, name))
    }
    await syncFolder(dir)
  } finally {
    // Leftovers are this write's own if it failed, or those of a run that was killed: only one run
    // at a time holds the lock under which reports are written.
    for (const name of await readdir(dir)) {
      if (TEMPORARY.test(name)) await rm(join(dir, name), { force: true })
    }
  }
}

async function writeThrough(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Makes the renames last; Windows does it on its own and has no such call. */
async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
