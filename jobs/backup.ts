/** `backup FILE`: the database as one file that `restore`, or any server's psql, takes. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { createGzip } from 'node:zlib'
import { type BackupContents, writeBackup } from '../db/backup.ts'
import type { Db } from '../db/client.ts'
import type { Config } from '../src/config.ts'
import { EXIT, type ExitCode, UnavailableFault, UsageFault } from '../src/errors.ts'
import type { CommandIo } from './command.ts'
import { useUnmigrated } from './compose.ts'

/**
 * Beside runs that write, of one moment. The file appears whole or not at all, readable by its owner
 * only: it names customers and bank accounts.
 * @param file absolute; a name that ends in `.gz` is compressed.
 * @throws UsageFault if the file is there already; UnavailableFault if it cannot be written.
 */
export async function backupCommand(
  config: Config,
  { file }: { readonly file: string },
  io: CommandIo,
): Promise<ExitCode> {
  if ((await stat(file).catch(() => null)) !== null) {
    throw new UsageFault(`${file} is there already, and a backup replaces nothing`, {
      hint: 'Choose another name, such as one with the day in it, or remove the old one first.',
    })
  }
  const { db, where } = await useUnmigrated(config, io)
  const { tables, rows } = await wholeFile(file, (handle) =>
    file.endsWith('.gz') ? writeCompressed(db, where, handle) : writePlain(db, where, handle),
  )
  const { size } = await stat(file)
  io.out(
    `${file}: ${tables} tables, ${rows} rows, ${size} bytes, from ${where}.\nIt holds what came from the provider and the banks: keep it as you keep those. Archived exports and reports are files of their own below DATA_DIR.\n`,
  )
  return EXIT.done
}

async function wholeFile<T>(file: string, fill: (handle: FileHandle) => Promise<T>): Promise<T> {
  const made = `${file}.part-${randomBytes(4).toString('hex')}`
  try {
    const handle = await open(made, 'wx', 0o600)
    let result: T
    try {
      result = await fill(handle)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(made, file)
    return result
  } catch (error) {
    await rm(made, { force: true }).catch(() => undefined)
    throw notWritten(file, error)
  }
}

function writePlain(db: Db, where: string, handle: FileHandle): Promise<BackupContents> {
  return writeBackup(db, where, async (bytes) => {
    await handle.writeFile(bytes)
  })
}

async function writeCompressed(db: Db, where: string, handle: FileHandle): Promise<BackupContents> {
  const gzip = createGzip()
  const stored = (async () => {
    for await (const bytes of gzip) await handle.writeFile(bytes as Uint8Array)
  })()
  // Looked at in the end; without a listener it would end the process before.
  stored.catch(() => undefined)
  const contents = await writeBackup(db, where, async (bytes) => {
    if (!gzip.write(bytes)) await Promise.race([once(gzip, 'drain'), stored])
  })
  gzip.end()
  await stored
  return contents
}

const FILE_CODES = new Set([
  'ENOENT',
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOSPC',
  'EDQUOT',
  'ENOTDIR',
  'EFBIG',
  'EIO',
])

function notWritten(file: string, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!FILE_CODES.has(code)) return error
  return new UnavailableFault(`${file} cannot be written (${code})`, {
    hint: 'Name a file in a folder that is there, has room, and may be written to. Nothing was left behind.',
    cause: error,
  })
}
