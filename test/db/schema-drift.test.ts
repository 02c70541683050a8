import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT, schemaDrift } from '../support/check-schema-drift.ts'

let folder: string

// Inside the checkout: the changed schema has to find its packages.
beforeAll(async () => {
  folder = await mkdtemp(path.join(ROOT, 'node_modules', '.drift-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a column that no migration makes is found', async () => {
  const schema = await readFile(path.join(ROOT, 'db/schema.ts'), 'utf8')
  const changed = schema.replace(
    'command: text().notNull(),',
    'command: text().notNull(), more: text(),',
  )
  expect(changed).not.toBe(schema)
  const file = path.join(folder, 'schema.ts')
  await writeFile(file, changed)

  expect(await schemaDrift(file)).toMatch(/changes that no migration makes/)
})

test('a schema that cannot be read is not taken for one without changes', async () => {
  const file = path.join(folder, 'broken.ts')
  await writeFile(file, 'export const runs = (')

  expect(await schemaDrift(file)).toMatch(/could not compare/)
})
