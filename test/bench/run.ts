/**
 * `npm run bench -- --rows 1000000`: every benchmark in turn, each in a process of its own so that
 * memory and caches do not mix, then one Markdown table, also in `test/output/bench.md`. Exits with 1
 * if a bar is missed or a benchmark fails. Times hold on this machine today; ratios are against a
 * floor of the same run.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { z } from 'zod'
import { embeddedBinaries } from '../../db/embedded-binaries.ts'
import { describeSettings, thisMachine } from '../../db/embedded-settings.ts'
import type { Benchmark, BenchLine } from './benchmark.ts'

/** In the order in which they run; each is the file of that name in this folder. */
const NAMES = [
  'ledger',
  'memory',
  'paging',
  'exports',
  'proofs',
  'deposits',
  'startup',
  'bank',
  'events',
] as const

const SCRIPT = fileURLToPath(import.meta.url)
const OUTPUT = fileURLToPath(new URL('../output/bench.md', import.meta.url))
const ROWS_DEFAULT = 1_000_000
const ROWS_MIN = 1_000
const BENCHMARK_TIMEOUT_MS = 3 * 3_600_000

const benchLines = z
  .array(
    z.object({
      what: z.string(),
      measured: z.string(),
      floor: z.string(),
      ratio: z.number().nullable(),
      bar: z.string(),
      met: z.boolean(),
    }),
  )
  .min(1)

const USAGE = `Usage: npm run bench -- [--rows ${ROWS_DEFAULT}] [--only ${NAMES.slice(0, 2).join(',')}]

--rows  balance transactions, payouts and files grow with it: 100000, 1000000 or 5000000
--only  some of ${NAMES.join(', ')}
`

interface Plan {
  readonly rows: number
  readonly names: readonly string[]
}

/** @returns what is wrong with the command line, as a text. */
function readPlan(values: { rows?: string; only?: string }): Plan | string {
  const rows = Number(values.rows ?? ROWS_DEFAULT)
  if (!Number.isSafeInteger(rows) || rows < ROWS_MIN) {
    return `--rows: found "${values.rows ?? ''}", expected a whole number from ${ROWS_MIN}`
  }
  const asked = (values.only ?? '').split(',').filter((name) => name !== '')
  const unknown = asked.filter((name) => !NAMES.some((known) => known === name))
  if (unknown.length > 0) {
    return `--only: found ${unknown.join(', ')}, expected some of ${NAMES.join(', ')}`
  }
  return { rows, names: NAMES.filter((name) => asked.length === 0 || asked.includes(name)) }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string' },
      only: { type: 'string' },
      child: { type: 'string' },
      result: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    process.stdout.write(USAGE)
    return 0
  }
  const plan = readPlan(values)
  if (typeof plan === 'string') {
    process.stderr.write(`${plan}\n${USAGE}`)
    return 2
  }
  if (values.child !== undefined && values.result !== undefined) {
    await runChild(values.child, values.result, plan.rows)
    return 0
  }
  return runAll(plan)
}

async function runAll({ rows, names }: Plan): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-run-'))
  try {
    const head = await machineText(folder, rows)
    process.stderr.write(`${head}\n`)
    const table = [
      '| what | measured | floor | ratio | bar | met |',
      '| --- | --- | --- | --- | --- | --- |',
    ]
    let missed = 0
    for (const name of names) {
      const startedMs = performance.now()
      process.stderr.write(`${name} …\n`)
      const lines = await inProcess(name, path.join(folder, `${name}.json`), rows)
      const seconds = Math.round((performance.now() - startedMs) / 1000)
      const bad = lines.filter(({ met }) => !met).length
      process.stderr.write(
        `${name}: ${bad === 0 ? 'every bar met' : `${bad} missed`}, ${seconds} s\n`,
      )
      missed += bad
      table.push(...lines.map((line) => tableRow(name, line)))
    }
    const verdict = missed === 0 ? 'Every bar is met.' : `Bars missed: ${missed}.`
    const text = `${head}\n\n${table.join('\n')}\n\n${verdict}\n`
    await mkdir(path.dirname(OUTPUT), { recursive: true })
    await writeFile(OUTPUT, text)
    process.stdout.write(text)
    return missed === 0 ? 0 : 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Runs one benchmark in a process of its own; one that fails is a bar that is missed. */
async function inProcess(
  name: string,
  result: string,
  rows: number,
): Promise<readonly BenchLine[]> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', SCRIPT, `--child=${name}`, `--result=${result}`, `--rows=${rows}`],
    // What a benchmark says on the way, such as plans of queries, is not the table's business.
    { stdio: ['ignore', process.stderr, process.stderr], timeout: BENCHMARK_TIMEOUT_MS },
  )
  const [exitCode, signal]: unknown[] = await once(child, 'exit')
  const failed = (why: string): readonly BenchLine[] => [
    { what: why, measured: 'failed', floor: '', ratio: null, bar: 'it runs', met: false },
  ]
  if (exitCode !== 0) return failed(`it ended with ${String(exitCode ?? signal)}, see above`)
  const lines = benchLines.safeParse(JSON.parse(await readFile(result, 'utf8')))
  return lines.success ? lines.data : failed(`its lines are none: ${lines.error.message}`)
}

async function runChild(name: string, result: string, rows: number): Promise<void> {
  const file = new URL(`${name}.ts`, import.meta.url)
  if (!existsSync(file)) throw new Error(`there is no test/bench/${name}.ts`)
  const loaded: unknown = await import(file.href)
  const found = Object.values(loaded ?? {}).find(isBenchmark)
  if (found === undefined) throw new Error(`test/bench/${name}.ts exports no Benchmark`)
  await writeFile(result, JSON.stringify(await found.run({ rows })))
}

function isBenchmark(value: unknown): value is Benchmark {
  return (
    value !== null &&
    typeof value === 'object' &&
    'name' in value &&
    'run' in value &&
    typeof value.run === 'function'
  )
}

function tableRow(name: string, { what, measured, floor, ratio, bar, met }: BenchLine): string {
  const shownRatio = ratio === null ? '' : String(Math.round(ratio * 100) / 100)
  const cells = [`${name}: ${what}`, measured, floor, shownRatio, bar, met ? 'yes' : '**no**']
  return `| ${cells.map((cell) => cell.replaceAll(/\s*\n\s*/g, ' ').replaceAll('|', '\\|')).join(' | ')} |`
}

/** What the figures hold for. */
async function machineText(folder: string, rows: number): Promise<string> {
  const machine = await thisMachine(folder)
  const { postgres } = await embeddedBinaries(folder)
  const { stdout } = await promisify(execFile)(postgres, ['--version'])
  const version = /\d+(\.\d+)*/.exec(stdout)?.[0] ?? 'unknown'
  const cores = availableParallelism()
  const day = new Date().toISOString().slice(0, 10)
  const load = Math.round((loadavg()[0] ?? 0) * 10) / 10
  return [
    `${rows.toLocaleString('en')} rows, ${day}: ${cores} cores (${cpus()[0]?.model.trim() ?? 'unknown'}, load ${load} at the start),`,
    `${Math.round(machine.memoryBytes / 1024 ** 3)} GB of memory, Node ${process.versions.node}, embedded Postgres ${version}`,
    describeSettings(machine),
  ].join('\n')
}

process.exitCode = await main()
