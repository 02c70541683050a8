/** The settings are listed in three places, for three readers: all three name the same ones. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { inspectConfig } from '../../src/config.ts'
import { SETTING_NAMES } from '../../src/setting-warnings.ts'

const textOf = (name: string): Promise<string> =>
  readFile(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8')

const NAMES: readonly string[] = SETTING_NAMES.toSorted()

/** Settings that the program asks for when it reads its configuration. */
function namesRead(files: Readonly<Record<string, string>>): string[] {
  const asked = new Set<string>()
  const env = new Proxy<Record<string, string>>(
    {},
    {
      get: (_, name) => {
        if (typeof name !== 'string') return undefined
        asked.add(name)
        return files[name]
      },
    },
  )
  inspectConfig(env, { cwd: '/', readFile: () => null })
  return [...asked].toSorted()
}

describe('the settings', () => {
  test('that are read are the ones that are listed', () => {
    expect(namesRead({})).toEqual(NAMES)
  })

  test('stand in .env.example, each with an explanation before it', async () => {
    const blocks = (await textOf('.env.example')).split('\n\n')
    const named = blocks.flatMap((block) =>
      [...block.matchAll(/^#?([A-Z][A-Z_]+)=/gm)].map(([, name = '']) => ({ name, block })),
    )
    for (const { name, block } of named) {
      expect({ name, explained: /^# \S/m.test(block) }).toEqual({ name, explained: true })
    }
    // A secret's own setting stands for its file as well, which the head of the page tells.
    const [head = ''] = blocks
    const inHead = [...head.matchAll(/\b[A-Z_]+_FILE\b/g)].map(([name]) => name)
    const found = new Set([...named.map(({ name }) => name), ...inHead])
    expect([...found].toSorted()).toEqual(NAMES)
  })

  test('stand in the README', async () => {
    const readme = await textOf('README.md')
    const named = new Set<string>()
    // A row may name several that begin alike: `JOURNAL_ACCOUNT_BANK`, `_TRANSIT`.
    for (const line of readme.split('\n')) {
      let stem = ''
      for (const [, name = ''] of line.matchAll(/`(_?[A-Z][A-Z_]+)`/g)) {
        if (!name.startsWith('_')) stem = name.replace(/_[A-Z]+$/, '')
        named.add(name.startsWith('_') ? stem + name : name)
      }
    }
    expect(NAMES.filter((name) => !named.has(name))).toEqual([])
  })
})
