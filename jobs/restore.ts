/** `restore FILE`: a backup into an empty database, embedded or on a server. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { withReadableErrors } from '../db/client.ts'
import { checked, refuseUnlessEmpty, restoreBackup } from '../db/restore.ts'
import { withRunLock } from '../db/run-lock.ts'
import type { Config } from '../src/config.ts'
import { EXIT, type ExitCode, InputFault, UsageFault } from '../src/errors.ts'
import type { CommandIo } from './command.ts'
import { useUnmigrated } from './compose.ts'

/**
 * The whole file is checked before anything of it is stored.
 * @param file absolute; compressed or not, by its content.
 * @throws UsageFault if there is no such file; InputFault if it is cut off or altered; LockedFault if
 * a run uses the database; ConfigurationFault if that is not empty.
 */
export async function restoreCommand(
  config: Config,
  { file }: { readonly file: string },
  io: CommandIo,
): Promise<ExitCode> {
  const isCompressed = await looksCompressed(file)
  const bytes = (): AsyncIterable<Uint8Array> => readThrough(file, isCompressed)
  for await (const part of checked(bytes(), file)) {
    void part
    if (io.signal.aborted) break
  }
  const { db, where, address } = await useUnmigrated(config, io)
  const { tables, rows } = await withRunLock(
    address,
    async () => {
      await withReadableErrors(where, () => refuseUnlessEmpty(db, where))
      return restoreBackup(db, where, bytes(), file)
    },
    { doing: 'restore' },
  )
  io.out(`${where}: ${tables} tables with ${rows} rows, as they were in ${file}.\n`)
  return EXIT.done
}

async function looksCompressed(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'r')
    try {
      const { buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0)
      return buffer[0] === 0x1f && buffer[1] === 0x8b
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw new UsageFault(
      `${file} cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'no code'})`,
      { hint: 'Name a file that `npm run backup` made.', cause: error },
    )
  }
}

async function* readThrough(file: string, isCompressed: boolean): AsyncGenerator<Uint8Array> {
  const plain = createReadStream(file, { highWaterMark: 256 * 1024 })
  const stream: Readable = isCompressed ? pipeline(plain, createGunzip(), () => undefined) : plain
  try {
    for await (const bytes of stream) yield bytes as Uint8Array
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (!code.startsWith('Z_')) throw error
    throw new InputFault(`${file} is cut off or altered: it cannot be unpacked (${code})`, {
      hint: 'Nothing was stored. Copy the file again from where it was made, or use another backup.',
      cause: error,
    })
  }
}
