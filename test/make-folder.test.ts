import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeFolder } from '../src/make-folder.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alma-folder-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

test('a folder is made with those above it, again and by several at once', async () => {
  const deep = join(dir, 'a', 'b', 'c')
  await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(join(dir, 'a', 'b'))])
  await makeFolder(deep)
  expect((await stat(deep)).isDirectory()).toBe(true)
})

test.each([
  ['in its place', ['file']],
  ['above it', ['file', 'x', 'y']],
])('a file %s is an error of the system, and stays', async (_, below) => {
  await writeFile(join(dir, 'file'), 'kept')
  await expect(makeFolder(join(dir, ...below))).rejects.toMatchObject({
    code: expect.stringMatching(/^(EEXIST|ENOTDIR|ENOENT)$/),
  })
  expect((await stat(join(dir, 'file'))).isFile()).toBe(true)
})

test('where the system lets nobody make one, that is said instead of tried for ever', async () => {
  await expect(makeFolder('/proc/none/deeper/still')).rejects.toMatchObject({
    code: expect.stringMatching(/^(ENOENT|EACCES|EPERM|EROFS)$/),
  })
})
