/**
 * Fails if the schema says something that no migration makes true. drizzle-kit works on a copy of
 * the migrations, so nothing is written here.
 */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** @returns what is wrong, as a sentence; null if schema and migrations agree. */
export async function schemaDrift(
  schema = path.join(ROOT, 'db/schema.ts'),
  migrations = path.join(ROOT, 'migrations'),
): Promise<string | null> {
  const work = await mkdtemp(path.join(tmpdir(), 'alma-drift-'))
  try {
    const copy = path.join(work, 'migrations')
    await cp(migrations, copy, { recursive: true })
    const config = path.join(work, 'drizzle.config.json')
    await writeFile(
      config,
      JSON.stringify({
        dialect: 'postgresql',
        casing: 'snake_case',
        schema: path.relative(ROOT, schema),
        out: path.relative(ROOT, copy),
      }),
    )
    const before = await readdir(copy)
    const checked = await drizzleKit('check', config)
    if (!checked.includes("Everything's fine")) {
      return `the migrations contradict each other:\n${checked}`
    }
    const compared = await drizzleKit('generate', config)
    const added = (await readdir(copy)).filter((name) => !before.includes(name))
    if (added.length === 0) {
      // It ends with 0 after some errors, so only its own word counts.
      if (compared.includes('No schema changes')) return null
      return `drizzle-kit could not compare schema and migrations:\n${compared}`
    }
    return 'db/schema.ts has changes that no migration makes: run "npm run db:generate", read the SQL, and keep it in migrations/'
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** @returns what it said. */
async function drizzleKit(command: string, config: string): Promise<string> {
  const bin = path.join(
    path.dirname(createRequire(import.meta.url).resolve('drizzle-kit')),
    'bin.cjs',
  )
  try {
    const { stdout } = await run(process.execPath, [bin, command, `--config=${config}`], {
      cwd: ROOT,
      timeout: 60_000,
    })
    return stdout
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const drift = await schemaDrift()
  if (drift === null) {
    process.stdout.write('schema: every part of db/schema.ts is made by a migration\n')
  } else {
    process.stderr.write(`schema: ${drift}\n`)
    process.exitCode = 1
  }
}
