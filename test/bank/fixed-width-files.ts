/** Small CFONB120 and Norma 43 files made to measure, and damage to them. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { type BankFileReading, readBankFiles } from '../../src/bank/read-file.ts'
import { balanceState } from '../../src/domain/bank-statement.ts'
import { compareText } from '../../src/domain/collections.ts'
import { sumOf } from '../../src/domain/money.ts'
import { InputFault } from '../../src/errors.ts'

/** A record of blanks with texts at positions, 1-based as the specifications count. */
function record(width: number, fields: readonly (readonly [position: number, text: string])[]) {
  const characters = Array.from({ length: width }, () => ' ')
  for (const [position, text] of fields) {
    for (const [at, character] of Array.from(text).entries())
      characters[position - 1 + at] = character
  }
  return characters.join('')
}

/** `-12.34` as the digits that CFONB120 writes: `0000000000123M`. */
export function overpunched(amount: string): string {
  const digits = amount.replace(/[-.]/g, '').padStart(14, '0')
  const letters = amount.startsWith('-') ? '}JKLMNOPQR' : '{ABCDEFGHI'
  return digits.slice(0, -1) + letters[Number(digits.at(-1))]
}

interface CfonbParts {
  /** `DDMMYY` */
  readonly day?: string
  readonly amount?: string
  readonly currency?: string
  readonly decimals?: string
  readonly bank?: string
  readonly account?: string
}

function cfonbFields(code: string, parts: CfonbParts): [number, string][] {
  return [
    [1, code],
    [3, parts.bank ?? '30004'],
    [12, '00003'],
    [17, parts.currency ?? 'EUR'],
    [20, parts.decimals ?? '2'],
    [22, parts.account ?? '12345678901'],
    [35, parts.day ?? '180324'],
  ]
}

export function balance01(parts: CfonbParts = {}): string {
  const amount = overpunched(parts.amount ?? '0.00')
  return record(120, [...cfonbFields('01', { day: '150324', ...parts }), [91, amount]])
}

export function balance07(parts: CfonbParts = {}): string {
  return record(120, [...cfonbFields('07', parts), [91, overpunched(parts.amount ?? '0.00')]])
}

export function movement04(
  parts: CfonbParts & {
    readonly label?: string
    readonly reference?: string
    readonly code?: string
    readonly rejection?: string
  } = {},
): string {
  return record(120, [
    ...cfonbFields('04', parts),
    [33, parts.code ?? '05'],
    [41, parts.rejection ?? ''],
    [43, parts.day ?? '180324'],
    [49, parts.label ?? 'VIR SEPA RECU ALMA'],
    [91, overpunched(parts.amount ?? '1.00')],
    [105, parts.reference ?? ''],
  ])
}

export function complement05(qualifier: string, text: string): string {
  return record(120, [...cfonbFields('05', {}), [46, qualifier], [49, text]])
}

function digits14(amount: string): string {
  return amount.replace(/[-.]/g, '').padStart(14, '0')
}

const NORMA_ACCOUNT = '210004180200051332'

/** The records of one account of Norma 43 from its movements, totals worked out: `-5.00` or `5.00`. */
export function normaAccount(
  movements: readonly (readonly [amount: string, ...complements: string[]])[],
  { opening = '0.00', closing }: { readonly opening?: string; readonly closing?: string } = {},
): string[] {
  const minor = (amount: string): bigint => BigInt(amount.replace('.', ''))
  const sign = (amount: string): string => (amount.startsWith('-') ? '1' : '2')
  const of = (direction: string): string[] =>
    movements.map(([amount]) => amount).filter((amount) => sign(amount) === direction)
  const total = (amounts: readonly string[]): string =>
    sumOf(amounts.map(minor)).toString().replace('-', '').padStart(14, '0')
  const finalMinor = minor(opening) + sumOf(movements.map(([amount]) => minor(amount)))
  const final =
    closing ??
    `${finalMinor < 0n ? '-' : ''}${finalMinor.toString().replace('-', '').padStart(3, '0')}`
  return [
    record(80, [
      [1, `11${NORMA_ACCOUNT}240318240324${sign(opening)}${digits14(opening)}9783TIENDA`],
    ]),
    ...movements.flatMap(([amount, ...complements]) => [
      record(80, [
        [1, '22'],
        [7, `000724031824031804007${sign(amount)}${digits14(amount)}${'0'.repeat(22)}`],
      ]),
      ...complements,
    ]),
    record(80, [
      [1, `33${NORMA_ACCOUNT}`],
      [21, `${String(of('1').length).padStart(5, '0')}${total(of('1'))}`],
      [40, `${String(of('2').length).padStart(5, '0')}${total(of('2'))}`],
      [59, `${sign(final)}${digits14(final)}978`],
    ]),
  ]
}

/** Records with the end of file, which counts itself unless told otherwise. */
export function normaFile(records: readonly string[], counted = records.length + 1): string {
  const end = record(80, [[1, `88${'9'.repeat(18)}${String(counted).padStart(6, '0')}`]])
  return [...records, end, ''].join('\r\n')
}

export function text23(code: string, text: string): string {
  return record(80, [[1, `23${code}${text}`]])
}

/** Whatever the bytes: a reading, or a fault that names the file. Anything else fails the test. */
export async function readOrRefusal(
  bytes: Uint8Array,
): Promise<Pick<BankFileReading, 'statements'> | InputFault> {
  try {
    const readings = await readBankFiles(bytes, 'damaged')
    return { statements: readings.flatMap(({ reading }) => reading.statements) }
  } catch (error) {
    if (!(error instanceof InputFault)) throw error
    expect(error.message).toMatch(/^damaged[,:/]/)
    expect(error.message.length).toBeLessThan(500)
    expect(error.hint).toBeDefined()
    return error
  }
}

/** What must not change unseen: accounts, balances and amounts of statements that add up. Zeros move nothing. */
export function provedMoney({ statements }: Pick<BankFileReading, 'statements'>): string[] {
  return statements
    .filter((statement) => {
      const movementMinor = sumOf(statement.entries.map(({ amountMinor }) => amountMinor))
      return balanceState(statement, movementMinor) === 'verified'
    })
    .map(({ account, currency, openingMinor, closingMinor, entries }) =>
      [
        account,
        currency,
        openingMinor,
        closingMinor,
        ...entries.map(({ amountMinor }) => amountMinor).filter((minor) => minor !== 0n),
      ].join(' '),
    )
    .toSorted(compareText)
}

/**
 * Changes one byte at a time of a file: it is refused, or what is proved is proved as before. One
 * change can only take a proof away, never make another one.
 */
export async function changeBytes(whole: Uint8Array, runs: number): Promise<void> {
  const before = await readOrRefusal(whole)
  if (before instanceof InputFault) throw before
  const proved = provedMoney(before)
  await fc.assert(
    fc.asyncProperty(
      fc.nat(whole.length - 1),
      fc.integer({ min: 0, max: 255 }),
      async (at, byte) => {
        const changed = Uint8Array.from(whole)
        changed[at] = byte
        const reading = await readOrRefusal(changed)
        if (reading instanceof InputFault) return
        for (const statement of provedMoney(reading)) expect(proved).toContain(statement)
      },
    ),
    { numRuns: runs },
  )
}

/** Changes several bytes at once: a reading or a refusal, never a crash. */
export async function scramble(whole: Uint8Array, runs: number): Promise<void> {
  const change = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 2, maxLength: 6 }), async (changes) => {
      const changed = Uint8Array.from(whole)
      for (const [at, byte] of changes) changed[at] = byte
      await readOrRefusal(changed)
    }),
    { numRuns: runs },
  )
}
