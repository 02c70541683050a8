/** Makes JavaScript of the program, for `jobs/start.js`. */
import { chmod, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeFolder } from '../src/make-folder.ts'

export interface BuildArgs {
  /** Absolute: the checkout. */
  readonly root: string
  /** Absolute path to text of every source file: what is built is what was hashed. */
  readonly sources: ReadonlyMap<string, string>
  /** Absolute: where the build goes, whole or not at all; its name is the hash of the sources. */
  readonly folder: string
}

/** Older builds may be in use by processes that have not loaded all of theirs yet. */
const BUILDS_KEPT = 20

/**
 * Builds the program and keeps it. Where that fails nothing is kept and nothing is said: it is about
 * time only, and whoever runs the sources instead is told what is wrong with them.
 */
export async function keepBuild(args: BuildArgs): Promise<void> {
  const { folder } = args
  let made: string | null = null
  try {
    await makeFolder(path.dirname(folder))
    made = await mkdtemp(`${folder}.new-`)
    for (const { path: file, contents } of (await build(args, made)).outputFiles) {
      // On the disk before its name: after a power cut a build is whole or not there.
      await writeFile(file, contents, { flush: true })
    }
    // What is no secret in the checkout is none here, and jobs may run under another account.
    await chmod(made, 0o755)
    await rename(made, folder)
    await removeOldBuilds(path.dirname(folder))
  } catch {
    // Nobody may write there, or another process was first.
    if (made !== null) await rm(made, { recursive: true, force: true }).catch(() => undefined)
  }
}

/** The part of esbuild that is used; it comes with tsx, which makes the same of the same sources. */
interface Bundler {
  build(options: Readonly<Record<string, unknown>>): Promise<BuildResult>
}

interface BuildResult {
  /** Absolute paths; nothing is written yet. */
  readonly outputFiles: readonly { readonly path: string; readonly contents: Uint8Array }[]
}

interface PluginBuild {
  onLoad(
    options: { readonly filter: RegExp },
    load: (file: { readonly path: string }) => { contents: string; loader: 'ts' } | null,
  ): void
}

function build({ root, sources }: BuildArgs, outdir: string): Promise<BuildResult> {
  const tsx = createRequire(import.meta.url).resolve('tsx')
  const bundler: Bundler = createRequire(tsx)('esbuild')
  return bundler.build({
    absWorkingDir: root,
    entryPoints: [path.join('jobs', 'cli.ts')],
    outdir,
    write: false,
    bundle: true,
    // What a command imports when it runs stays apart from what every command needs.
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    sourcemap: true,
    sourcesContent: false,
    tsconfigRaw: {},
    logLevel: 'silent',
    plugins: [{ name: 'sources', setup: (setup: PluginBuild) => loadFrom(sources, setup) }],
  })
}

/** Each file knows where it lies in the checkout: migrations and packages are found from there. */
function loadFrom(sources: ReadonlyMap<string, string>, setup: PluginBuild): void {
  setup.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
    const text = sources.get(file)
    if (text === undefined) return null
    const url = JSON.stringify(pathToFileURL(file).href)
    return { contents: text.replaceAll('import.meta.url', url), loader: 'ts' }
  })
}

async function removeOldBuilds(parent: string): Promise<void> {
  const builds: { name: string; madeMs: number }[] = []
  for (const name of await readdir(parent)) {
    builds.push({ name, madeMs: (await stat(path.join(parent, name))).mtimeMs })
  }
  builds.sort((one, other) => other.madeMs - one.madeMs)
  for (const { name } of builds.slice(BUILDS_KEPT)) {
    await rm(path.join(parent, name), { recursive: true, force: true })
  }
}
