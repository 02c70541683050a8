import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder, and those above it, where they are missing. Node's own `recursive` tries for ever
 * where the system says "no such file" of a folder whose parent is there, as under /proc.
 * @throws the system's error (`code`: EACCES, ENOENT, ENOTDIR, EROFS …) where it cannot be made.
 */
export async function makeFolder(path: string): Promise<void> {
  const refusal = await refusalToMake(path)
  if (refusal === null) return
  const parent = dirname(path)
  if (refusal.code !== 'ENOENT' || parent === path) throw refusal
  await makeFolder(parent)
  const lasting = await refusalToMake(path)
  if (lasting !== null) throw lasting
}

/** Null if the folder is there now. */
async function refusalToMake(path: string): Promise<NodeJS.ErrnoException | null> {
  try {
    await mkdir(path)
    return null
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return (await isFolder(path)) ? null : error
  }
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  return found?.isDirectory() ?? false
}
