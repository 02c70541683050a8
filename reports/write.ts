import { createHash, randomUUID } from 'node:crypto'
import { open, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOf, type Journal } from '../src/domain/journal.ts'
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
import { piecesOf, type ReportText } from './text.ts'

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
  /** Looks at the files before any of them has its name, and throws if they must not have it. */
  readonly examine?: (texts: ReadonlyMap<string, ReadableText>) => Promise<void>
}

/** A file's text: as it was made, or as it is read from the disk. */
export type ReadableText = ReportText | AsyncIterable<string>

interface Digest {
  /** Lower-case hex. */
  readonly sha256: string
  readonly bytes: number
}

interface WrittenFile extends Digest {
  readonly name: string
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
  await makeFolder(dir)
  try {
    const made = await readyFiles(dir, reportTexts(input))
    await input.examine?.(new Map(made.map((file) => [file.name, readable(file)])))
    const describe = (files: readonly WrittenFile[], previous: string | null): string =>
      jsonText({
        period: reconciliation.period.label,
        as_of: reconciliation.asOf,
        entities: run.entities,
        files,
        previous_manifest_sha256: previous,
      })

    const standing = await readStanding(dir, made)
    if (standing !== null) {
      const { files, manifest } = standing
      if (manifest === describe(files, previousIn(manifest))) {
        return { dir, files, manifestSha256: digestOf([manifest]).sha256, changed: false }
      }
    }

    const files = made.map(describeFile)
    const manifest = describe(files, input.previousManifestSha256)
    await putInPlace(dir, [...made, { name: MANIFEST, text: manifest }])
    return { dir, files, manifestSha256: digestOf([manifest]).sha256, changed: true }
  } finally {
    await sweep(dir)
  }
}

/** A file of a report: its text, or one too long to be held and where it lies on the disk by now. */
type ReadyFile =
  | { readonly name: string; readonly text: string }
  | { readonly name: string; readonly digest: Digest; readonly path: string }

/** Texts in pieces are written under temporary names, unless the same stands in the folder already. */
async function readyFiles(
  dir: string,
  texts: ReadonlyMap<string, ReportText>,
): Promise<ReadyFile[]> {
  const ready: ReadyFile[] = []
  for (const [name, text] of texts) {
    ready.push(typeof text === 'string' ? { name, text } : await readyLong(dir, name, text))
  }
  return ready
}

async function readyLong(dir: string, name: string, text: Iterable<string>): Promise<ReadyFile> {
  const path = join(dir, name)
  const standing = await digestOfFile(path)
  if (standing !== null && standing.sha256 === digestOf(text).sha256) {
    return { name, digest: standing, path }
  }
  const temporary = temporaryPath(dir, name)
  return { name, digest: await writeThrough(temporary, text), path: temporary }
}

function readable(file: ReadyFile): ReadableText {
  if ('text' in file) return file.text
  return { [Symbol.asyncIterator]: () => piecesOfFile(file.path) }
}

async function* piecesOfFile(path: string): AsyncGenerator<string> {
  const file = await open(path)
  // The stream closes the file, read to its end or not.
  const pieces: AsyncIterable<string> = file.createReadStream({ encoding: 'utf8' })
  yield* pieces
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
>): Map<string, ReportText> {
  return new Map<string, ReportText>([
    ['discrepancies.csv', discrepanciesCsv(reconciliation.discrepancies, dialect)],
    ['settlements.csv', settlementsCsv(reconciliation.settlements, dialect)],
    ['refunds.csv', refundsCsv(reconciliation.refunds, dialect)],
    ['open_items.csv', openItemsCsv(reconciliation.openItems, dialect)],
    ['journal.csv', journalCsv(entriesOf(journal), run.entities, dialect)],
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
  files: readonly { readonly name: string; readonly text: ReportText }[],
): Promise<void> {
  await makeFolder(dir)
  try {
    const ready = await readyFiles(dir, new Map(files.map(({ name, text }) => [name, text])))
    await putInPlace(dir, ready)
  } finally {
    await sweep(dir)
  }
}

/** What stands in the folder, if it says the same as what was made; null if anything differs. */
async function readStanding(
  dir: string,
  made: readonly ReadyFile[],
): Promise<{ files: WrittenFile[]; manifest: string } | null> {
  const files: WrittenFile[] = []
  for (const file of made) {
    const { name } = file
    const path = join(dir, name)
    if (!('text' in file)) {
      if (file.path !== path) return null
      files.push(describeFile(file))
      continue
    }
    const found = await readIfThere(path)
    if (found === null || !saysTheSame(name, found, file.text)) return null
    files.push(describeFile({ name, text: found }))
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

function describeFile(file: ReadyFile): WrittenFile {
  const { name } = file
  const { sha256, bytes } = 'text' in file ? digestOf([file.text]) : file.digest
  return { name, sha256, bytes }
}

function digestOf(text: Iterable<string>): Digest {
  const counted = counting()
  for (const piece of text) counted.add(piece)
  return counted.digest()
}

const READ_BYTES = 64 * 1024

/** Of a file of any length; null where there is none. */
export async function digestOfFile(path: string): Promise<Digest | null> {
  const counted = counting()
  try {
    const file = await open(path)
    try {
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES)
        if (bytesRead === 0) return counted.digest()
        counted.add(buffer.subarray(0, bytesRead))
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function counting() {
  const hash = createHash('sha256')
  let bytes = 0
  return {
    add: (piece: string | Uint8Array): void => {
      hash.update(piece)
      bytes += Buffer.byteLength(piece)
    },
    digest: (): Digest => ({ sha256: hash.digest('hex'), bytes }),
  }
}

const TEMPORARY = /^\.[\w-]+\.(csv|html|json|txt)\.[0-9a-f-]{36}\.tmp$/

function temporaryPath(dir: string, name: string): string {
  return join(dir, `.${name}.${randomUUID()}.tmp`)
}

/** All files under temporary names first, then renamed in order, so that little can fail between. */
async function putInPlace(dir: string, files: readonly ReadyFile[]): Promise<void> {
  const renames: (readonly [from: string, to: string])[] = []
  for (const file of files) {
    const path = join(dir, file.name)
    if (!('text' in file)) {
      if (file.path !== path) renames.push([file.path, path])
      continue
    }
    const temporary = temporaryPath(dir, file.name)
    await writeThrough(temporary, file.text)
    renames.push([temporary, path])
  }
  for (const [from, to] of renames) await rename(from, to)
  await syncFolder(dir)
}

/**
 * Removes what has a temporary name: leftovers are a write's own if it failed, or those of a run that
 * was killed, because only one run at a time holds the lock under which reports are written. A folder
 * in which nothing was to be written goes too.
 */
async function sweep(dir: string): Promise<void> {
  const names = await readdir(dir)
  for (const name of names) {
    if (TEMPORARY.test(name)) await rm(join(dir, name), { force: true })
  }
  if (names.every((name) => TEMPORARY.test(name))) await rmdir(dir)
}

async function writeThrough(path: string, text: ReportText): Promise<Digest> {
  const counted = counting()
  const file = await open(path, 'wx')
  try {
    for (const piece of piecesOf(text)) {
      counted.add(piece)
      await file.writeFile(piece)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return counted.digest()
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
