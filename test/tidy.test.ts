/**
 * House rules that a linter does not know, or that a comment could switch off: who may import whom,
 * and calls that have one place only.
 */
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

interface SourceFile {
  /** Relative to the checkout, with slashes. */
  readonly name: string
  readonly text: string
}

async function readTree(...folders: string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = []
  for (const folder of folders) {
    for (const entry of await readdir(path.join(ROOT, folder), {
      recursive: true,
      withFileTypes: true,
    })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
      const file = path.join(entry.parentPath, entry.name)
      files.push({
        name: path.relative(ROOT, file).replaceAll(path.sep, '/'),
        text: await readFile(file, 'utf8'),
      })
    }
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

interface Import {
  readonly line: number
  /** A package, or a file relative to the checkout. */
  readonly from: string
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

function importsOf({ name, text }: SourceFile): Import[] {
  const found = text.matchAll(
    /^(?:import|export)\b[^'"]*?\bfrom\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  )
  return [...found].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? ''
    return {
      line: lineAt(text, match.index + match[0].length),
      from: specifier.startsWith('.')
        ? path.posix.join(path.posix.dirname(name), specifier)
        : specifier,
    }
  })
}

/** Which of our own files the files of a folder may import; the first folder that fits counts. */
const DIRECTIONS: readonly { folder: string; may: RegExp; sentence: string }[] = [
  { folder: 'src/domain/', may: /^src\/domain\//, sentence: 'src/domain imports src/domain only' },
  ...['provider', 'bank', 'sandbox', 'events'].map((party) => ({
    folder: `src/${party}/`,
    may: new RegExp(`^src/(${party}/|domain/|errors\\.ts$|progress\\.ts$|make-folder\\.ts$)`),
    sentence: `src/${party} imports src/domain, src/errors.ts and src/progress.ts; what it needs of others is handed to it by jobs/`,
  })),
  {
    folder: 'src/',
    may: /^src\/(?!provider\/|bank\/|sandbox\/)/,
    sentence: 'src/*.ts imports no outside party, no db, reports or jobs',
  },
  {
    folder: 'db/',
    may: /^(db\/|src\/domain\/|src\/errors\.ts$|src\/make-folder\.ts$)/,
    sentence: 'db imports src/domain and src/errors.ts',
  },
  {
    folder: 'reports/',
    may: /^(reports\/|src\/domain\/|src\/make-folder\.ts$)/,
    sentence: 'reports imports src/domain',
  },
  {
    folder: 'jobs/',
    may: /^(jobs|src|db|reports)\//,
    sentence: 'jobs imports src, db and reports; tests are not part of the product',
  },
]

/** Which packages the files of a folder may import, where that is limited. */
const PACKAGES: readonly { folder: string; may: RegExp; sentence: string }[] = [
  {
    folder: 'src/domain/',
    may: /^(date-fns(\/.*)?|node:crypto)$/,
    sentence: 'src/domain is pure: no package but date-fns, no Node module that does I/O',
  },
  {
    folder: 'reports/',
    may: /^(csv-stringify(\/.*)?|node:(crypto|path|fs\/promises))$/,
    sentence: 'reports turns data into files of text: no package but csv-stringify',
  },
]

interface Ban {
  readonly pattern: RegExp
  readonly within: RegExp
  readonly except?: RegExp
  readonly instead: string
}

const BANS: readonly Ban[] = [
  {
    pattern: /\bnew Date\(/,
    within: /^src\/domain\//,
    except: /^src\/domain\/day\.ts$/,
    instead: 'the functions of src/domain/day.ts',
  },
  {
    pattern: /\bDate\.now\b/,
    within: /^src\/domain\//,
    instead: 'the day that counts as today, handed in',
  },
  { pattern: /\bprocess\./, within: /^src\/domain\//, instead: 'an argument' },
  {
    pattern: /\bMath\.random\b/,
    within: /^src\/domain\//,
    instead: 'nothing: results do not depend on chance',
  },
  {
    pattern: /\bprocess\.env\b/,
    within: /./,
    except: /^(src\/config\.ts$|jobs\/)/,
    instead: 'a setting of src/config.ts',
  },
  { pattern: /\bparseFloat\b/, within: /./, instead: 'parseAmount of src/domain/money.ts' },
  { pattern: /\.toFixed\(/, within: /./, instead: 'formatAmount of src/domain/money.ts' },
  {
    pattern: /\bconsole\./,
    within: /./,
    instead: 'the stream that the edge hands in, or src/progress.ts',
  },
  {
    pattern: /\bmkdir(Sync)?\(.*\brecursive\b/,
    within: /./,
    instead: 'makeFolder of src/make-folder.ts: under /proc the one of Node never ends',
  },
  {
    pattern: /from 'postgres'/,
    within: /./,
    except: /^db\/client\.ts$/,
    instead: 'connect or openSession of db/client.ts: Drizzle replaces the parsers of its client',
  },
  {
    pattern: /\b(TODO|FIXME|XXX)\b/,
    within: /./,
    instead: 'the work itself, or an issue',
  },
]

const TEST_BANS: readonly Ban[] = [
  {
    pattern: /\b(test|it|describe|suite)(\.\w+)*\.(only|skip|skipIf|runIf|todo|fails)\b/,
    within: /\.test\.ts$/,
    instead: 'a test that runs everywhere, or none',
  },
]

function directionFaults(file: SourceFile): string[] {
  const direction = DIRECTIONS.find(({ folder }) => file.name.startsWith(folder))
  const packages = PACKAGES.find(({ folder }) => file.name.startsWith(folder))
  return importsOf(file).flatMap(({ line, from }) => {
    const isOurs = /^(src|db|jobs|reports|test)\//.test(from)
    const rule = isOurs ? direction : packages
    if (rule === undefined || rule.may.test(from)) return []
    return [`${file.name}:${line} imports ${from}: ${rule.sentence}`]
  })
}

function banFaults(file: SourceFile, bans: readonly Ban[]): string[] {
  const lines = file.text.split('\n')
  return bans
    .filter(({ within, except }) => within.test(file.name) && except?.test(file.name) !== true)
    .flatMap(({ pattern, instead }) =>
      lines.flatMap((text, index) => {
        const found = pattern.exec(text)?.[0]
        return found === undefined
          ? []
          : [`${file.name}:${index + 1} has ${found} here; use instead: ${instead}`]
      }),
    )
}

describe('house rules', () => {
  let product: SourceFile[]
  let tests: SourceFile[]

  beforeAll(async () => {
    product = await readTree('src', 'db', 'jobs', 'reports')
    tests = await readTree('test')
  })

  test('are asked of the whole tree', () => {
    expect(product.length).toBeGreaterThan(30)
    for (const folder of [
      'src/domain/',
      'src/provider/',
      'src/bank/',
      'db/',
      'jobs/',
      'reports/',
    ]) {
      expect(product.filter(({ name }) => name.startsWith(folder))).not.toHaveLength(0)
    }
    expect(product.flatMap(importsOf).length).toBeGreaterThan(100)
  })

  test('imports point at src/domain', () => {
    expect(product.flatMap(directionFaults)).toEqual([])
  })

  test('what has one place is in that place', () => {
    expect(product.flatMap((file) => banFaults(file, BANS))).toEqual([])
  })

  test('no test is left out', () => {
    expect(tests.flatMap((file) => banFaults(file, TEST_BANS))).toEqual([])
  })
})

describe('a broken house rule is found and explained', () => {
  const planted = (name: string, ...lines: string[]): SourceFile => ({
    name,
    text: lines.join('\n'),
  })

  test.each([
    ['src/domain/match.ts', `import { connect } from '../../db/client.ts'`],
    ['src/domain/match.ts', `import { readFile } from 'node:fs/promises'`],
    ['src/bank/camt.ts', `import { fetchPage } from '../provider/client.ts'`],
    ['src/provider/client.ts', `import type { Config } from '../config.ts'`],
    ['db/payouts.ts', `import { settle } from '../reports/settlements.ts'`],
    ['reports/csv.ts', `import { sql } from 'drizzle-orm'`],
    ['jobs/cli.ts', `export { inject } from '../test/support/database.ts'`],
    ['db/payouts.ts', `const { run } = await import('../jobs/reconcile.ts')`],
  ])('%s: %s', (name, line) => {
    const faults = directionFaults(planted(name, '// first line', line))
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatch(new RegExp(`^${name}:2 imports .+: .+`))
  })

  test('over several lines, the line of the module is named', () => {
    const file = planted('db/payouts.ts', 'import {', '  settle,', "} from '../reports/csv.ts'")
    expect(directionFaults(file)[0]).toMatch(/^db\/payouts\.ts:3 imports reports\/csv\.ts/)
  })

  test.each([
    ['src/domain/match.ts', 'const today = new Date()'],
    ['src/domain/day.ts', 'const now = Date.now()'],
    ['src/bank/camt.ts', 'const amount = Number.parseFloat(text)'],
    ['reports/csv.ts', 'const text = amount.toFixed(2)'],
    ['db/client.ts', "const url = process.env['DATABASE_URL']"],
    ['db/payouts.ts', "import postgres from 'postgres'"],
    ['jobs/cli.ts', "console.log('done')"],
    ['jobs/cli.ts', 'await mkdir(dir, { recursive: true })'],
    ['jobs/cli.ts', '// TODO: later'],
  ])('%s: %s', (name, line) => {
    const faults = banFaults(planted(name, line), BANS)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatch(new RegExp(`^${name}:1 has .+; use instead: .+`))
  })

  test('a test that is left out', () => {
    const line = ['test', 'skip'].join('.')
    expect(banFaults(planted('test/a.test.ts', `${line}('x', () => {})`), TEST_BANS)).toHaveLength(
      1,
    )
  })

  test('what is allowed in its place is not found', () => {
    expect(banFaults(planted('src/domain/day.ts', 'return new Date(0)'), BANS)).toEqual([])
    expect(banFaults(planted('src/config.ts', 'parse(process.env)'), BANS)).toEqual([])
    expect(directionFaults(planted('jobs/cli.ts', "import { x } from '../db/runs.ts'"))).toEqual([])
  })
})
