import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readdir, readlink, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chooseLauncher } from '../../db/embedded-account.ts'
import { type Binaries, embeddedBinaries, usableBinaries } from '../../db/embedded-binaries.ts'

const run = promisify(execFile)

let folder: string
let native: string

/** A platform package as npm leaves it when it runs no install script: without its links. */
async function freshPackage(name: string): Promise<string> {
  const copy = path.join(folder, name, 'native')
  await cp(native, copy, {
    recursive: true,
    filter: (source) => !/\.(so(\.\d+)?|dylib)$/.test(source) || isRealFile(source),
  })
  return copy
}

const linkNames = new Set<string>()
const isRealFile = (source: string): boolean => !linkNames.has(source)

beforeAll(async () => {
  // Closed to every other account, and below it a checkout.
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'alma-binaries-')))
  native = (await embeddedBinaries(folder)).root
  const lib = path.join(native, 'lib')
  for (const entry of await readdir(lib, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) linkNames.add(path.join(lib, entry.name))
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Root may write everywhere, so it steps down for the while. */
async function asOrdinaryAccount<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work()
  process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
  }
}

/** Creates a cluster, in a folder that is closed to other accounts as well: the whole way. */
async function createCluster(binaries: Binaries, name: string): Promise<string> {
  const cluster = path.join(folder, name)
  await mkdir(cluster, { mode: 0o700 })
  const launcher = await chooseLauncher({
    ownFolders: [cluster],
    programs: [binaries.initdb, binaries.postgres],
    dataDir: folder,
    cluster: null,
  })
  const { file, args, options } = launcher.call(binaries.initdb, [
    '-D',
    cluster,
    '--no-sync',
    '-A',
    'trust',
  ])
  await run(file, [...args], { ...options, cwd: '/' })
  const asked = launcher.call(binaries.postgres, ['-C', 'data_directory', '-D', cluster])
  return (await run(asked.file, [...asked.args], { ...asked.options, cwd: '/' })).stdout.trim()
}

describe('binaries of the npm package', () => {
  test('are linked at first use if npm did not, and run from a closed folder', async () => {
    const copy = await freshPackage('unlinked')
    const binaries = await usableBinaries(copy, folder)
    expect(binaries.root).toBe(copy)
    if (process.platform === 'linux') {
      expect(linkNames.size).toBeGreaterThan(0)
      expect(await readlink(path.join(copy, 'lib', 'libpq.so.5'))).toMatch(/^libpq\.so\.5\./)
    }
    expect(await createCluster(binaries, 'one')).toBe(path.join(folder, 'one'))
  })

  test('are made runnable where they lost their execute bit', async () => {
    const copy = await freshPackage('not-executable')
    for (const name of await readdir(path.join(copy, 'bin'))) {
      await chmod(path.join(copy, 'bin', name), 0o644)
    }
    const binaries = await usableBinaries(copy, folder)
    expect((await run(binaries.postgres, ['--version'])).stdout).toMatch(
      /^postgres \(PostgreSQL\) 18/,
    )
  })

  test('that may not be changed are used from a folder beside the data', async () => {
    const copy = await freshPackage('foreign')
    // Everybody may read it, nobody but its owner may write: the case of a checkout of somebody else.
    await chmod(path.join(copy, 'lib'), 0o555)
    await chmod(folder, 0o755)
    const dataDir = await realpath(await mkdtemp(path.join(tmpdir(), 'alma-data-')))
    try {
      await chmod(dataDir, 0o777)
      const { root, postgres } = await asOrdinaryAccount(() => usableBinaries(copy, dataDir))
      expect(root).toMatch(new RegExp(`^${dataDir}/postgres-binaries-[0-9a-f]{12}$`))
      expect((await run(postgres, ['--version'])).stdout).toMatch(/PostgreSQL\) 18/)
      expect((await asOrdinaryAccount(() => usableBinaries(copy, dataDir))).root).toBe(root)
    } finally {
      await chmod(folder, 0o700)
      await chmod(path.join(copy, 'lib'), 0o755)
      await rm(dataDir, { recursive: true, force: true })
    }
  })
})
