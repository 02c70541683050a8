import { z } from 'zod'
import { dayForm, type DayForm } from '../csv-values.ts'

/**
 * What a bank's CSV export looks like, as data. The profiles of this folder and those that users add
 * as JSON files go through the same check.
 */

/** Lower case, without accents and punctuation: `Date de l'opération` is `date de l operation`. */
export function normalisedName(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
}

/** A column: by its name, by a pattern over normalised names, or by its place. */
export type ColumnRef =
  | { readonly by: 'name'; readonly name: string; readonly occurrence: number | null }
  | { readonly by: 'pattern'; readonly pattern: RegExp }
  | { readonly by: 'place'; readonly place: number }

function pattern(mustBegin: boolean, groups: readonly string[]) {
  const expected = mustBegin
    ? 'a regular expression that begins with ^'
    : 'a regular expression over a line of the file'
  return z.string(expected).transform((source, context): RegExp => {
    try {
      const compiled = new RegExp(source, 'iu')
      const named = [...source.matchAll(/\(\?<([A-Za-z]\w*)>/g)].map(([, name]) => name ?? '')
      const unknown = named.filter((name) => !groups.includes(name))
      if (unknown.length > 0) context.addIssue(`groups named ${groups.join(', ')}`)
      else if (mustBegin && !source.startsWith('^')) context.addIssue(expected)
      else return compiled
    } catch {
      context.addIssue(expected)
    }
    return z.NEVER
  })
}

const COLUMN = 'the name of a column, its number, or a pattern that begins with ^'

const columnRef = z
  .union([z.string().min(1), z.int().min(1)], COLUMN)
  .transform((given, context): ColumnRef => {
    if (typeof given === 'number') return { by: 'place', place: given }
    if (!given.startsWith('^')) {
      const [, name = given, occurrence] = /^(.*)#(\d+)$/.exec(given) ?? []
      return {
        by: 'name',
        name: normalisedName(name),
        occurrence: occurrence === undefined ? null : Number(occurrence),
      }
    }
    try {
      return { by: 'pattern', pattern: new RegExp(given, 'u') }
    } catch {
      context.addIssue(COLUMN)
      return z.NEVER
    }
  })

/** One, or several in a list. */
function list<T extends z.ZodType>(item: T) {
  return z.union([item.transform((only) => [only]), z.array(item).min(1)])
}

const words = z.array(z.string().min(1).transform(normalisedName)).min(1)

const form = z.string().transform((text, context): DayForm => {
  const found = dayForm(text)
  if (found !== null) return found
  context.addIssue('a day such as dd/MM/yyyy, of yyyy or yy, MM or M, dd or d, HH, mm and ss')
  return z.NEVER
})

const ENCODINGS = ['windows-1252', 'iso-8859-15', 'utf-8', 'macintosh', 'utf-16le', 'utf-16be']

/** What a line outside of the movements tells. */
const FACTS = [
  'account',
  'currency',
  'from',
  'to',
  'opening',
  'closing',
  'balanceDay',
  'count',
] as const

const rule = (mustBegin: boolean) =>
  z.strictObject({
    line: pattern(mustBegin, FACTS),
    /** The table ends here: what stands below is counted and left out. */
    end: z.boolean().default(false),
    /** A file without such a line was cut off. */
    required: z.boolean().default(false),
    /** The file is something else than a statement; the sentence says what. */
    refuse: z.string().min(1).nullable().default(null),
  })

export type Fact = (typeof FACTS)[number]
export type LineRule = z.output<ReturnType<typeof rule>>

/** What a pattern over the remittance text may name. */
const TEXT_GROUPS = ['counterpartyName', 'counterpartyIban', 'endToEndId']

export const profileSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'a short name of small letters, digits and hyphens'),
    /** For people. */
    bank: z.string().min(1).max(80),
    separator: list(z.enum([';', ',', '\t', '|'], 'one of ; , | and tab')),
    /** False where a quote is a character like any other. */
    quotes: z.boolean().default(true),
    /** Of files that are not valid UTF-8. */
    encoding: z.enum(ENCODINGS, ENCODINGS.join(', ')).default('windows-1252'),
    decimalMark: list(z.enum([',', '.'], '"," or "."')),
    /** Of balances outside of the table, where it is another. */
    balanceDecimalMark: list(z.enum([',', '.'], '"," or "."'))
      .nullable()
      .default(null),
    groupingMarks: z.array(z.enum(['.', ',', ' ', "'"])).default([]),
    /** A minus may stand behind the digits. */
    signAtEnd: z.boolean().default(false),
    amountSuffixes: z.array(z.string().min(1)).default([]),
    dates: list(form),
    /** Names that a header of this bank has; empty: the file has no header. */
    header: z.array(z.string().min(1).transform(normalisedName)),
    columns: z.strictObject({
      bookingDay: list(columnRef),
      valueDay: list(columnRef).optional(),
      amount: list(columnRef).optional(),
      debit: list(columnRef).optional(),
      credit: list(columnRef).optional(),
      indicator: list(columnRef).optional(),
      currency: list(columnRef).optional(),
      account: list(columnRef).optional(),
      balance: list(columnRef).optional(),
      status: list(columnRef).optional(),
      counterpartyName: list(columnRef).optional(),
      counterpartyIban: list(columnRef).optional(),
      payerName: list(columnRef).optional(),
      payeeName: list(columnRef).optional(),
      payerIban: list(columnRef).optional(),
      payeeIban: list(columnRef).optional(),
      endToEndId: list(columnRef).optional(),
      reference: list(columnRef).optional(),
      reversal: list(columnRef).optional(),
      remittance: list(columnRef).optional(),
    }),
    /** How debits stand in the debit column; `any`: in one of the two ways throughout the file. */
    debitSign: z.enum(['negative', 'positive', 'any']).default('positive'),
    /** Words of the indicator column, for amounts without a sign. */
    indicator: z.strictObject({ credit: words, debit: words }).nullable().default(null),
    /** Words of the status column. */
    status: z.strictObject({ booked: words, notBooked: words }).nullable().default(null),
    /** Currency of files that do not name it. */
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, 'a currency such as EUR')
      .nullable()
      .default(null),
    /** Null where the bank promises no order. */
    rowOrder: z.enum(['oldest-first', 'newest-first']).nullable().default(null),
    /** Rows without day and amount continue the text of the row above. */
    continuationRows: z.boolean().default(false),
    /** The reference identifies an entry for good, whatever else a later export says of it. */
    uniqueReference: z.boolean().default(false),
    /** All rows must name one account, because it is not certain that the column names the own one. */
    singleAccount: z.boolean().default(false),
    preamble: z.array(rule(false)).default([]),
    otherRows: z.array(rule(true)).default([]),
    texts: z.array(pattern(false, TEXT_GROUPS)).default([]),
    /** A pattern over the name of the file, whose group `account` tells the account. */
    fileName: pattern(false, ['account']).nullable().default(null),
    /** A pattern over cells of the account column, whose group `account` is the account itself. */
    accountText: pattern(true, ['account']).nullable().default(null),
    /** The own account of files that do not name it. */
    account: z.string().min(5).nullable().default(null),
    /** The own accounts by what the file calls them; null: rows of it are left out and counted. */
    accounts: z.record(z.string().min(1), z.string().min(5).nullable()).default({}),
  })
  .superRefine(({ columns, indicator, status, header, fileName }, context) => {
    const fault = (path: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [path], message })
    }
    if (columns.amount === undefined && columns.credit === undefined) {
      fault('columns', '"amount", or "debit" and "credit"')
    }
    if ((columns.debit === undefined) !== (columns.credit === undefined)) {
      fault('columns', '"debit" and "credit" together')
    }
    if ((columns.indicator === undefined) !== (indicator === null)) {
      fault('indicator', 'a column "indicator" and the words of it, or neither')
    }
    if ((columns.status === undefined) !== (status === null)) {
      fault('status', 'a column "status" and the words of it, or neither')
    }
    if (header.length === 1) fault('header', 'at least two names, so that it tells one bank')
    if (header.length === 0 && fileName === null) {
      fault('fileName', 'a pattern, since a file without a header can only be told by its name')
    }
    if (header.length === 0 && hasNames(columns)) {
      fault('columns', 'columns by their numbers, since there is no header')
    }
  })

function hasNames(columns: Readonly<Record<string, readonly ColumnRef[] | undefined>>): boolean {
  return Object.values(columns).some((refs) => refs?.some(({ by }) => by !== 'place') === true)
}

/** A profile as it is written, in this folder or in a user's JSON file. */
export type ProfileSource = z.input<typeof profileSchema>

/** A profile, checked. */
export type CsvProfile = z.output<typeof profileSchema>

export type ColumnName = keyof CsvProfile['columns']
