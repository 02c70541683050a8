import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readBankFile } from '../../src/bank/read-file.ts'
import { addDays, parseDay, startOfDay } from '../../src/domain/day.ts'
import { absolute, parseAmount, sumOf } from '../../src/domain/money.ts'
import {
  balanceBefore,
  bankFileOf,
  writeBankFiles,
  writeCamt053,
  writeCanonicalCsv,
} from '../../src/sandbox/bank-files.ts'
import { createWorld, type SandboxBankAccount, type SandboxWorld } from '../../src/sandbox/world.ts'

function firstBank(world: SandboxWorld): SandboxBankAccount {
  const bank = world.bankAccounts[0]
  if (bank === undefined) throw new Error('the world has no bank account')
  return bank
}

const bank = firstBank(createWorld())
const [monday, sunday] = [parseDay('2024-03-18'), parseDay('2024-03-24')]

interface Statement {
  number: number
  day: string
  opening: bigint
  closing: bigint
  entries: bigint[]
}

/** Reads back what the sandbox writes, by its own lines: no reader of the product is in it. */
function statementsOf(camt: string): Statement[] {
  const signed = (text: string | undefined): bigint => {
    const found = /<Amt Ccy="EUR">([\d.]+)<\/Amt><CdtDbtInd>(CRDT|DBIT)</.exec(text ?? '')
    const amount = parseAmount(found?.[1] ?? '', 'EUR')
    return found?.[2] === 'DBIT' ? -amount : amount
  }
  return camt
    .split('<Stmt>')
    .slice(1)
    .map((text) => ({
      number: Number(/<ElctrncSeqNb>(\d+)</.exec(text)?.[1]),
      day: /<FrDtTm>(\S{10})/.exec(text)?.[1] ?? '',
      opening: signed(/<Cd>OPBD<.*/.exec(text)?.[0]),
      closing: signed(/<Cd>CLBD<.*/.exec(text)?.[0]),
      entries: text.split('<Ntry>').slice(1).map(signed),
    }))
}

describe('camt.053', () => {
  test('has one statement per business day, numbered in turn, that proves itself and joins the next', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const account = firstBank(
          createWorld({ seed, from: '2024-03-11', to: '2024-04-05', salesPerDay: 2 }),
        )
        const last = parseDay(account.lastDay)
        const statements = statementsOf(writeCamt053(account, parseDay('2024-03-11'), last))
        expect(statements.map(({ number }) => number)).toEqual(statements.map((_, at) => at + 1))
        expect(sumOf(statements.map(({ entries }) => BigInt(entries.length)))).toBe(
          BigInt(account.lines.length),
        )
        let balance = BigInt(account.openingMinor)
        for (const { opening, entries, closing } of statements) {
          expect(opening).toBe(balance)
          expect(opening + sumOf(entries)).toBe(closing)
          balance = closing
        }
        expect(balance).toBe(BigInt(balanceBefore(account, '9999-12-31')))
      }),
      { numRuns: 10 },
    )
  })

  test('leaves out Good Friday and Easter Monday, on which no bank books', () => {
    const text = writeCamt053(bank, parseDay('2024-03-28'), parseDay('2024-04-02'))
    expect(statementsOf(text).map(({ day }) => day)).toEqual(['2024-03-28', '2024-04-02'])
  })

  test('nests parties and status by its version', () => {
    const newer = writeCamt053(bank, monday, sunday)
    const older = writeCamt053(bank, monday, sunday, { version: 2 })
    expect(newer).toContain('camt.053.001.08')
    expect(newer).toContain('<Sts><Cd>BOOK</Cd></Sts>')
    expect(newer).toMatch(/<Dbtr><Pty><Nm>ALMA/)
    expect(older).toContain('camt.053.001.02')
    expect(older).toContain('<Sts>BOOK</Sts>')
    expect(older).toMatch(/<Dbtr><Nm>ALMA/)
    expect(statementsOf(older)).toEqual(statementsOf(newer))
  })

  test('escapes what XML would take for its own', () => {
    const account = structuredClone(bank)
    const line = account.lines.find(({ bookingDay }) => bookingDay === monday)
    if (line === undefined) throw new Error('the Monday has lines')
    line.counterpartyName = 'A & B <"C">'
    expect(writeCamt053(account, monday, monday)).toContain('A &amp; B &lt;&quot;C&quot;&gt;')
  })
})

describe('canonical CSV', () => {
  test('covers its days from the opening balance on the first row to the closing on the last', () => {
    const [quietFrom, quietTo] = [addDays(monday, -1), sunday]
    const text = writeCanonicalCsv(bank, quietFrom, quietTo)
    const rows: Record<string, string>[] = parse(text, { columns: true })
    expect(rows[0]).toMatchObject({ booking_date: quietFrom, amount: '' })
    expect(rows.at(-1)).toMatchObject({ booking_date: quietTo, amount: '' })
    const amounts = rows.flatMap(({ amount = '' }) =>
      amount === '' ? [] : [parseAmount(amount, 'EUR')],
    )
    const opening = parseAmount(rows[0]?.['opening_balance'] ?? '', 'EUR')
    const closing = parseAmount(rows.at(-1)?.['closing_balance'] ?? '', 'EUR')
    expect(amounts.length).toBeGreaterThan(10)
    expect(opening + sumOf(amounts)).toBe(closing)
    expect(rows.slice(1).every((row) => row['opening_balance'] === '')).toBe(true)
    expect(rows.slice(0, -1).every((row) => row['closing_balance'] === '')).toBe(true)
  })
})

describe('a bank that errs', () => {
  test('a statement that was never sent leaves a hole in numbers and balances', () => {
    const account = structuredClone(bank)
    account.missingStatements = ['2024-03-20']
    const statements = statementsOf(writeCamt053(account, monday, sunday))
    expect(statements.map(({ day }) => day.slice(8))).toEqual(['18', '19', '21', '22'])
    const [, tuesday, thursday] = statements
    expect(thursday?.number).toBe((tuesday?.number ?? 0) + 2)
    expect(thursday?.opening).not.toBe(tuesday?.closing)
  })

  test('an entry that balances count and the statement does not list', () => {
    const account = structuredClone(bank)
    const line = account.lines.find(({ bookingDay }) => bookingDay === '2024-03-19')
    if (line === undefined) throw new Error('the Tuesday has lines')
    line.unlisted = true
    const statements = statementsOf(writeCamt053(account, monday, sunday))
    const off = statements.map(({ opening, entries, closing }) =>
      absolute(closing - opening - sumOf(entries)),
    )
    expect(off).toEqual([0n, BigInt(Math.abs(line.amountMinor)), 0n, 0n, 0n])
  })
})

describe('what is dropped into an inbox', () => {
  async function written(world: SandboxWorld): Promise<string[]> {
    const dir = await mkdtemp(join(tmpdir(), 'sandbox-bank-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    return await writeBankFiles(world, dir)
  }

  test('is one file a week and account, the formats taking turns', async () => {
    const world = createWorld({ accounts: ['north', 'south'], salesPerDay: 2 })
    const names = (await written(world)).map((path) => basename(path))
    expect(names.length).toBe(16)
    expect(names.slice(0, 4).map((name) => name.replace(/^\d+-/, ''))).toEqual([
      '2024-W09.xml',
      '2024-W10.csv',
      '2024-W11.xml',
      '2024-W12.xml',
    ])
    expect(bankFileOf(firstBank(world), monday)).toMatchObject({
      name: names[3],
      format: 'camt.053.001.08',
      from: monday,
      to: sunday,
    })
  })

  test('is read by the product whole: every line once, every balance right, each joining the next', async () => {
    const world = createWorld()
    const { lines, openingMinor } = firstBank(world)
    let balance: bigint | null = BigInt(openingMinor)
    const references: (string | null)[] = []
    const formats = new Set<string>()
    for (const path of await written(world)) {
      const reading = await readBankFile(await readFile(path), basename(path))
      formats.add(`${reading.format} ${reading.formatVersion ?? ''}`.trim())
      for (const statement of reading.statements) {
        expect(statement.openingMinor).toBe(balance)
        const movement = sumOf(statement.entries.map(({ amountMinor }) => amountMinor))
        expect((statement.openingMinor ?? 0n) + movement).toBe(statement.closingMinor)
        balance = statement.closingMinor
        references.push(...statement.entries.map(({ bankReference }) => bankReference))
      }
    }
    expect(references).toEqual(lines.map(({ bankReference }) => bankReference))
    expect(new Set(references).size).toBe(lines.length)
    expect(formats.size).toBe(3)
  })

  test('goes as far as the world’s clock has come', async () => {
    const world = createWorld()
    world.nowS = startOfDay(parseDay('2024-03-20'), 'Europe/Paris') + 12 * 3600
    const paths = await written(world)
    expect(paths.map((path) => basename(path).slice(7))).toEqual([
      '2024-W09.xml',
      '2024-W10.csv',
      '2024-W11.xml',
      '2024-W12.xml',
    ])
    const statements = statementsOf(await readFile(paths.at(-1) ?? '', 'utf8'))
    expect(statements.map(({ day }) => day)).toEqual(['2024-03-18', '2024-03-19'])
  })

  test('is the same bytes every time', async () => {
    const [first, second] = [await written(createWorld()), await written(createWorld())]
    for (const [at, path] of first.entries()) {
      expect(await readFile(second[at] ?? '', 'utf8')).toBe(await readFile(path, 'utf8'))
    }
  })
})
