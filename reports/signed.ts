import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiscrepancyRow } from '../src/domain/reconciliation.ts'
import type { CsvDialect } from './csv.ts'
import { discrepanciesCsv } from './discrepancies.ts'
import { jsonText } from './summary-json.ts'
import { digestOfFile, writeBeside, type WrittenReports } from './write.ts'

/** A file of a report that somebody signed, to the byte. */
interface SignedFile {
  readonly name: string
  /** Lower-case hex. */
  readonly sha256: string
  readonly content: string
}

const MANIFEST = 'manifest.json'
const DISCREPANCIES = 'discrepancies.csv'

interface Manifest {
  readonly files: readonly { readonly name: string; readonly sha256: string }[]
}

/**
 * Why what stands in a period's folder is not the report that was written, in words; null: it is. Its
 * files are not held, however long they are.
 * @param manifestSha256 of the report that was written.
 */
export async function whyNotWritten(dir: string, manifestSha256: string): Promise<string | null> {
  const listed = await readManifest(dir, manifestSha256)
  if ('problem' in listed) return listed.problem
  for (const file of listed.files) {
    const found = await digestOfFile(join(dir, file.name))
    if (found?.sha256 !== file.sha256) return whatHappened(join(dir, file.name), found === null)
  }
  return null
}

function whatHappened(path: string, isGone: boolean): string {
  return `${path} ${isGone ? 'is gone' : 'was changed'} since the report was written`
}

/** Why a folder does not hold the report that was written last, in words. */
export type Unsignable = { readonly problem: string }

/**
 * Reads the report in a period's folder, as its manifest lists it.
 * @param manifestSha256 of the report that was written last
 */
export async function readReportToSign(
  dir: string,
  manifestSha256: string,
): Promise<readonly SignedFile[] | Unsignable> {
  const listed = await readManifest(dir, manifestSha256)
  if ('problem' in listed) return listed
  const files: SignedFile[] = [{ name: MANIFEST, sha256: manifestSha256, content: listed.text }]
  for (const { name, sha256: expected } of listed.files) {
    const content = await readIfThere(join(dir, name))
    if (content === null || sha256(content) !== expected) {
      return { problem: whatHappened(join(dir, name), content === null) }
    }
    files.push({ name, sha256: expected, content })
  }
  return files
}

async function readManifest(
  dir: string,
  manifestSha256: string,
): Promise<(Manifest & { readonly text: string }) | Unsignable> {
  const text = await readIfThere(join(dir, MANIFEST))
  if (text === null) return { problem: `there is no ${MANIFEST} in ${dir}` }
  if (sha256(text) !== manifestSha256) {
    return { problem: `${join(dir, MANIFEST)} is not the one of the report that was written last` }
  }
  return { ...parseManifest(text), text }
}

export interface WriteSignedInput {
  /** The folder in which the period's folder stands or is made. */
  readonly dir: string
  readonly period: string
  readonly files: readonly SignedFile[]
  /** In which the report was signed. */
  readonly dialect: CsvDialect
  /** Changes since; they follow the signed rows of `discrepancies.csv`. */
  readonly late: readonly DiscrepancyRow[]
}

/**
 * Makes the report of a closed period again: every file as it was signed, to the byte, and later
 * changes at the end of `discrepancies.csv`, with a manifest that names the signed one as the one
 * before it. What stands there already is not touched.
 */
export async function writeSignedReport(input: WriteSignedInput): Promise<WrittenReports> {
  const { period, files, late, dialect } = input
  const dir = join(input.dir, period)
  const signedManifest = files.find(({ name }) => name === MANIFEST)
  if (signedManifest === undefined)
    throw new Error(`the signed report of ${period} has no manifest`)
  const order = parseManifest(signedManifest.content).files.map(({ name }) => name)
  const texts = order.map((name): readonly [string, string] => {
    const content = files.find((file) => file.name === name)?.content
    if (content === undefined) throw new Error(`the signed report of ${period} has no ${name}`)
    return [name, name === DISCREPANCIES ? content + rowsOf(late, dialect) : content]
  })
  const described = texts.map(([name, text]) => ({
    name,
    sha256: sha256(text),
    bytes: Buffer.byteLength(text),
  }))
  const manifest =
    late.length === 0
      ? signedManifest.content
      : jsonText({
          ...parseManifest(signedManifest.content),
          files: described,
          previous_manifest_sha256: signedManifest.sha256,
        })
  const wanted: readonly (readonly [string, string])[] = [...texts, [MANIFEST, manifest]]
  const differing = await differingFiles(dir, wanted)
  if (differing.length > 0) {
    await writeBeside(
      dir,
      differing.map(([name, text]) => ({ name, text })),
    )
  }
  return {
    dir,
    files: described,
    manifestSha256: sha256(manifest),
    changed: differing.length > 0,
  }
}

/** The lines of a CSV without its titles. */
function rowsOf(rows: readonly DiscrepancyRow[], dialect: CsvDialect): string {
  const text = discrepanciesCsv(rows, dialect)
  return text.slice(discrepanciesCsv([], dialect).length)
}

async function differingFiles(
  dir: string,
  texts: readonly (readonly [string, string])[],
): Promise<(readonly [string, string])[]> {
  const differing: (readonly [string, string])[] = []
  for (const [name, text] of texts) {
    if ((await readIfThere(join(dir, name))) !== text) differing.push([name, text])
  }
  return differing
}

function parseManifest(text: string): Manifest {
  const value: unknown = JSON.parse(text)
  if (!isManifest(value)) throw new Error(`${MANIFEST} does not list files`)
  return value
}

function isManifest(value: unknown): value is Manifest {
  if (value === null || typeof value !== 'object' || !('files' in value)) return false
  const { files } = value
  return (
    Array.isArray(files) &&
    files.every(
      (file: unknown) =>
        file !== null &&
        typeof file === 'object' &&
        'name' in file &&
        typeof file.name === 'string' &&
        'sha256' in file &&
        typeof file.sha256 === 'string',
    )
  )
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
