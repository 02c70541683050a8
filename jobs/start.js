// @ts-check
/**
 * Starts the command line, `jobs/cli.ts`. To load TypeScript takes longer than most commands do, so
 * the program is built once (`jobs/build.ts`) and kept in `node_modules/.cache` under the hash of its
 * sources: whatever was edited or updated is built anew, and nothing stale can run. Where no build
 * can be kept, tsx runs the sources as they are. `node --import tsx jobs/cli.ts` does the same, slower.
 */
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'

// Rows stream through; nothing is gained by a heap that grows before it is cleaned. Without this the
// peak of a first run rises with its length, as far as the machine has memory.
setFlagsFromString('--optimize-for-size')

const root = fileURLToPath(new URL('..', import.meta.url))

/** The program's sources: absolute path to text.
 * @type {Map<string, string>} */
const sources = new Map()
const hash = createHash('sha256')
for (const folder of ['db', 'jobs', 'reports', 'src']) {
  const names = readdirSync(path.join(root, folder), { encoding: 'utf8', recursive: true })
  for (const name of names.filter((found) => found.endsWith('.ts')).sort()) {
    const file = path.join(root, folder, name)
    const text = readFileSync(file, 'utf8')
    sources.set(file, text)
    hash.update(`${file}\0${text}\0`)
  }
}

const key = hash.digest('hex').slice(0, 32)
const folder = path.join(root, 'node_modules', '.cache', 'alma-reconcile', key)

if (!existsSync(folder)) {
  const { register } = await import('tsx/esm/api')
  register()
  const { keepBuild } = await import('./build.ts')
  await keepBuild({ root, sources, folder })
}
// Positions in the sources are for whoever asks for a stack; to know them costs a tenth of a second.
if (process.env['DEBUG']) process.setSourceMapsEnabled(true)
const { main } = await (isReadable(path.join(folder, 'cli.js'))
  ? import(pathToFileURL(path.join(folder, 'cli.js')).href)
  : import('./cli.ts'))
await main()

/** A build that another account made for itself is none for this one.
 * @param {string} file */
function isReadable(file) {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch {
    return false
  }
}
