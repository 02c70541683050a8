import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { compareText } from '../domain/collections.ts'
import { UnavailableFault } from '../errors.ts'

/** A file that the user left for import. Nobody but its owner moves or deletes it. */
export interface BankFilePath {
  /** How messages and reports call it: below the inbox, with forward slashes. */
  readonly name: string
  readonly path: string
}

export interface Inbox {
  /** In order of name. */
  readonly files: readonly BankFilePath[]
  /** What was left out and why, as sentences. */
  readonly notes: readonly string[]
}

/** More than decades of daily files of many accounts. */
const FILES_MAX = 100_000

/** Endings under which programs write a file that is not whole yet. */
const UNFINISHED = /\.(?:tmp|part)$/i

/**
 * Every file below the inbox. Left out are hidden files and folders, files that are still being
 * written by their name, and links, which could lead anywhere.
 * @throws UnavailableFault if the inbox, or a folder in it, is there but cannot be read.
 */
export async function listInbox(inbox: string): Promise<Inbox> {
  const files: BankFilePath[] = []
  const notes: string[] = []
  const folders = ['']
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const items = await readFolder(inbox, folder)
    if (items === null) {
      if (folder === '')
        notes.push(`the bank inbox ${inbox} does not exist: no bank files to import`)
      continue
    }
    for (const item of items) {
      const name = folder === '' ? item.name : `${folder}/${item.name}`
      if (item.name.startsWith('.')) continue
      if (item.isSymbolicLink())
        notes.push(`${name} is a link and was left out: put the file itself into the bank inbox`)
      else if (item.isDirectory()) folders.push(name)
      else if (item.isFile() && !UNFINISHED.test(name))
        files.push({ name, path: join(inbox, name) })
    }
    if (files.length + folders.length > FILES_MAX) {
      throw new UnavailableFault(`the bank inbox ${inbox} holds more than ${FILES_MAX} files`, {
        hint: 'Move files that were imported long ago to another place: they are not needed any more.',
      })
    }
  }
  return {
    files: files.sort((a, b) => compareText(a.name, b.name)),
    notes: notes.sort(compareText),
  }
}

/** What a folder holds; null if it is not there (any more). */
async function readFolder(inbox: string, folder: string): Promise<Dirent[] | null> {
  try {
    return await readdir(join(inbox, folder), { withFileTypes: true })
  } catch (error) {
    const code = osErrorCode(error)
    if (code === 'ENOENT') return null
    throw new UnavailableFault(`the bank inbox cannot be read (${code}): ${join(inbox, folder)}`, {
      hint: 'Check that BANK_INBOX names a folder and that this account may read it and the folders in it; then run the same command again.',
      cause: error,
    })
  }
}

/** The operating system's code of a failed file operation, such as `EACCES`. */
export function osErrorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'unknown'
}
