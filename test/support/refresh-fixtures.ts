/**
 * Writes what is expected of the bank fixtures (`test/bank/files/csv/*.expected.txt`) from what the
 * product reads now:
 *
 *   npx tsx test/support/refresh-fixtures.ts               writes what is missing, names what differs
 *   npx tsx test/support/refresh-fixtures.ts --overwrite   writes what differs as well
 *
 * What it writes is what the product does, not what is right: read each line against the fixture
 * before it is kept. It ends with 1 where an expected file differs and was left alone. The tests
 * never write these files, `vitest -u` included.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { csvFixtureAsRead, csvFixtureNames, expectedPathOf } from '../bank/csv-fixtures.ts'

const EXIT_USAGE = 2

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function refresh(mayOverwrite: boolean): Promise<number> {
  let leftAlone = 0
  for (const name of await csvFixtureNames()) {
    const path = expectedPathOf(name)
    const file = basename(path)
    const [found, expected] = [await csvFixtureAsRead(name), await textOf(path)]
    if (found === expected) continue
    if (expected !== null) say(difference(file, expected, found))
    if (expected === null || mayOverwrite) {
      await writeFile(path, found)
      say(`${file}: written; read it before it is kept`)
    } else {
      leftAlone += 1
    }
  }
  if (leftAlone === 0) return 0
  say(`${leftAlone} left alone: --overwrite writes them, if the new text is the right one.`)
  return 1
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** The lines that are on one side only. */
function difference(file: string, expected: string, found: string): string {
  const [before, after] = [expected.split('\n'), found.split('\n')]
  return [
    `${file}: differs`,
    ...before.filter((line) => !after.includes(line)).map((line) => `  expected: ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `  found:    ${line}`),
  ].join('\n')
}

const flags = process.argv.slice(2)
if (flags.some((flag) => flag !== '--overwrite')) {
  process.stderr.write(`${flags.join(' ')}: --overwrite is the only flag.\n`)
  process.exitCode = EXIT_USAGE
} else {
  process.exitCode = await refresh(flags.includes('--overwrite'))
}
