import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'csv-stringify/sync'
import {
  addDays,
  type Day,
  dayOfInstant,
  daysBetween,
  maxDay,
  minDay,
  parseDay,
} from '../domain/day.ts'
import { weekOf } from '../domain/period.ts'
import { isBusinessDay } from '../domain/target-calendar.ts'
import { makeFolder } from '../make-folder.ts'
import type { BankLine, SandboxBankAccount, SandboxWorld } from './model.ts'
import { currencyOf, decimal, escapeXml, type SandboxStatement } from './statement.ts'
import { writeBnpParibasCsv, writeQontoCsv } from './write-bank-csv.ts'
import { writeCfonb120 } from './write-cfonb120.ts'
import { writeMt940 } from './write-mt940.ts'
import { writeNorma43 } from './write-norma43.ts'
import { writeOfx } from './write-ofx.ts'

export interface CamtOptions {
  /** Of camt.053.001: 8 unless said. They differ in namespace and in how parties and status nest. */
  version?: 2 | 8
}

/**
 * A camt.053 message with one statement per business day from `from` to `to`, both included. A
 * statement's number counts the business days since the account's first, so a missing one shows.
 */
export function writeCamt053(
  account: SandboxBankAccount,
  from: Day,
  to: Day,
  options: CamtOptions = {},
): string {
  const version = options.version ?? 8
  const messageId = `CAMT053-${account.iban.slice(-6)}-${from}-${to}`
  const statements = dailyStatements(account, from, to).map((statement) =>
    camtStatement(account, statement, version),
  )
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.${String(version).padStart(2, '0')}">`,
    ' <BkToCstmrStmt>',
    `  <GrpHdr><MsgId>${messageId}</MsgId><CreDtTm>${addDays(to, 1)}T05:00:00</CreDtTm></GrpHdr>`,
    ...statements,
    ' </BkToCstmrStmt>',
    '</Document>',
    '',
  ].join('\n')
}

function camtStatement(
  account: SandboxBankAccount,
  { from: day, number, openingMinor, closingMinor, lines }: SandboxStatement,
  version: 2 | 8,
): string {
  const currency = currencyOf(account)
  return [
    '  <Stmt>',
    `   <Id>${account.iban.slice(-6)}-${day}</Id>`,
    `   <ElctrncSeqNb>${number}</ElctrncSeqNb>`,
    `   <CreDtTm>${addDays(day, 1)}T05:00:00</CreDtTm>`,
    `   <FrToDt><FrDtTm>${day}T00:00:00</FrDtTm><ToDtTm>${day}T23:59:59</ToDtTm></FrToDt>`,
    `   <Acct><Id><IBAN>${account.iban}</IBAN></Id><Ccy>${currency}</Ccy></Acct>`,
    camtBalance('OPBD', openingMinor, currency, day),
    camtBalance('CLBD', closingMinor, currency, day),
    ...lines.map((line) => camtEntry(line, version)),
    '  </Stmt>',
  ].join('\n')
}

function camtBalance(code: string, amountMinor: number, currency: string, day: Day): string {
  return `   <Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp>${camtAmount(amountMinor, currency)}<Dt><Dt>${day}</Dt></Dt></Bal>`
}

function camtAmount(amountMinor: number, currency: string): string {
  const unsigned = decimal(Math.abs(amountMinor), currency)
  const direction = amountMinor < 0 ? 'DBIT' : 'CRDT'
  return `<Amt Ccy="${currency}">${unsigned}</Amt><CdtDbtInd>${direction}</CdtDbtInd>`
}

function camtEntry(line: BankLine, version: 2 | 8): string {
  const sent = line.amountMinor < 0
  const party = sent ? 'Cdtr' : 'Dbtr'
  const name = `<Nm>${escapeXml(line.counterpartyName)}</Nm>`
  const parties = [
    line.counterpartyName === ''
      ? ''
      : `<${party}>${version === 2 ? name : `<Pty>${name}</Pty>`}</${party}>`,
    line.counterpartyIban === ''
      ? ''
      : `<${party}Acct><Id><IBAN>${line.counterpartyIban}</IBAN></Id></${party}Acct>`,
  ].join('')
  const pieces = line.remittance
    .split('\n')
    .map((piece) => `<Ustrd>${escapeXml(piece)}</Ustrd>`)
    .join('')
  return [
    '   <Ntry>',
    `    ${camtAmount(line.amountMinor, line.currency)}`,
    `    <Sts>${version === 2 ? 'BOOK' : '<Cd>BOOK</Cd>'}</Sts>`,
    `    <BookgDt><Dt>${line.bookingDay}</Dt></BookgDt>`,
    `    <ValDt><Dt>${line.valueDay}</Dt></ValDt>`,
    ...(line.bankReference === ''
      ? []
      : [`    <AcctSvcrRef>${escapeXml(line.bankReference)}</AcctSvcrRef>`]),
    `    <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>${sent ? 'ICDT' : 'RCDT'}</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>`,
    '    <NtryDtls><TxDtls>',
    `     <Refs><EndToEndId>${line.endToEndId === '' ? 'NOTPROVIDED' : escapeXml(line.endToEndId)}</EndToEndId></Refs>`,
    ...(version === 2 ? [] : [`     ${camtAmount(line.amountMinor, line.currency)}`]),
    ...(parties === '' ? [] : [`     <RltdPties>${parties}</RltdPties>`]),
    ...(line.remittance === '' ? [] : [`     <RmtInf>${pieces}</RmtInf>`]),
    '    </TxDtls></NtryDtls>',
    '   </Ntry>',
  ].join('\n')
}

const CANONICAL_COLUMNS = [
  'account',
  'booking_date',
  'value_date',
  'amount',
  'currency',
  'counterparty_name',
  'counterparty_iban',
  'remittance',
  'end_to_end_id',
  'bank_reference',
  'opening_balance',
  'closing_balance',
]

/**
 * The canonical CSV: one statement that covers every day from `from` to `to`. A first or last day
 * without movement is stated by a row that has a day and a balance only.
 */
export function writeCanonicalCsv(account: SandboxBankAccount, from: Day, to: Day): string {
  const currency = currencyOf(account)
  const dayOnly = (day: Day): string[] =>
    CANONICAL_COLUMNS.map((_, at) => [account.iban, day, '', '', currency][at] ?? '')
  const rows = listedLines(account, from, to).map((line) => [
    account.iban,
    line.bookingDay,
    line.valueDay,
    decimal(line.amountMinor, line.currency),
    line.currency,
    line.counterpartyName,
    line.counterpartyIban,
    line.remittance,
    line.endToEndId,
    line.bankReference,
    '',
    '',
  ])
  if (rows[0]?.[1] !== from) rows.unshift(dayOnly(from))
  if (rows.at(-1)?.[1] !== to) rows.push(dayOnly(to))
  const [first, last] = [rows[0], rows.at(-1)]
  if (first === undefined || last === undefined) throw new Error(`no days from ${from} to ${to}`)
  first[10] = decimal(balanceBefore(account, from), currency)
  last[11] = decimal(balanceBefore(account, addDays(to, 1)), currency)
  return stringify([CANONICAL_COLUMNS, ...rows])
}

function listedLines(account: SandboxBankAccount, from: Day, to: Day): BankLine[] {
  return account.lines.filter(
    (line) => from <= line.bookingDay && line.bookingDay <= to && line.unlisted !== true,
  )
}

/** The booked balance at the start of a day, unlisted lines counted. */
export function balanceBefore(account: SandboxBankAccount, day: string): number {
  return account.lines.reduce(
    (balance, line) => (line.bookingDay < day ? balance + line.amountMinor : balance),
    account.openingMinor,
  )
}

function businessDays(from: Day, to: Day): Day[] {
  const days: Day[] = []
  for (let day = from; day <= to; day = addDays(day, 1)) if (isBusinessDay(day)) days.push(day)
  return days
}

/** Where the banks of the sandbox have their days. */
const BANK_ZONE = 'Europe/Paris'

/**
 * The formats in which the sandbox writes bank files; their writers say what each cannot carry. Only
 * those of one statement a day show that the bank never sent one (`missingStatements`), and only
 * those with both balances that a line is not listed; the others hold the days of a week together.
 */
export const BANK_FORMATS = [
  'camt.053.001.08',
  'camt.053.001.02',
  'canonical',
  'mt940',
  'cfonb120',
  'norma43',
  'ofx',
  'qonto',
  'bnp-paribas',
] as const

export type BankFormat = (typeof BANK_FORMATS)[number]

interface FormatOf {
  readonly ending: string
  /** Whether a file holds a statement a business day, or one of all its days. */
  readonly isDaily: boolean
  /** Whether a file of days without entries is none: it would say nothing of any day. */
  readonly needsEntries: boolean
  readonly write: (account: SandboxBankAccount, file: BankFile) => string
}

const DAILY = { isDaily: true, needsEntries: false } as const
const OF_ALL_DAYS = { isDaily: false, needsEntries: false } as const
const OF_ENTRIES = { isDaily: false, needsEntries: true } as const

const FORMATS: Readonly<Record<BankFormat, FormatOf>> = {
  'camt.053.001.08': {
    ...DAILY,
    ending: 'xml',
    write: (account, { from, to }) => writeCamt053(account, from, to, { version: 8 }),
  },
  'camt.053.001.02': {
    ...DAILY,
    ending: 'xml',
    write: (account, { from, to }) => writeCamt053(account, from, to, { version: 2 }),
  },
  canonical: {
    ...OF_ALL_DAYS,
    ending: 'csv',
    write: (account, { from, to }) => writeCanonicalCsv(account, from, to),
  },
  mt940: { ...DAILY, ending: 'sta', write: inStatements(writeMt940) },
  cfonb120: { ...DAILY, ending: 'txt', write: inStatements(writeCfonb120) },
  norma43: { ...DAILY, ending: 'n43', write: inStatements(writeNorma43) },
  ofx: { ...OF_ALL_DAYS, ending: 'ofx', write: inStatements(writeOfx) },
  qonto: { ...OF_ENTRIES, ending: 'csv', write: inOneTable(writeQontoCsv) },
  'bnp-paribas': { ...OF_ENTRIES, ending: 'csv', write: inOneTable(writeBnpParibasCsv) },
}

function inStatements(
  write: (account: SandboxBankAccount, statements: readonly SandboxStatement[]) => string,
): FormatOf['write'] {
  return (account, file) => write(account, statementsOf(account, file))
}

function inOneTable(
  write: (account: SandboxBankAccount, statement: SandboxStatement) => string,
): FormatOf['write'] {
  return (account, { from, to }) => write(account, statementBetween(account, from, to, null))
}

export interface BankFile {
  /** Without a folder. */
  readonly name: string
  readonly format: BankFormat
  readonly from: Day
  readonly to: Day
}

/** The formats that take turns where none is asked for. */
const TURNS = ['camt.053.001.08', 'canonical', 'camt.053.001.02'] as const

/**
 * The file in which `writeBankFiles` puts a day of an account: one a week, the formats taking turns
 * unless one is given.
 * @param lastDay up to which there are statements, if not yet to the account's last day
 */
export function bankFileOf(
  account: SandboxBankAccount,
  day: Day,
  lastDay = parseDay(account.lastDay),
  given?: BankFormat,
): BankFile {
  const first = parseDay(account.openingDay)
  const week = weekOf(day)
  const from = maxDay(week.first, first)
  const to = minDay(week.last, lastDay)
  const turn = Math.floor(daysBetween(weekOf(first).first, week.first) / 7) % TURNS.length
  const format = given ?? TURNS[turn] ?? 'canonical'
  const currency = account.currency === undefined ? '' : `${account.currency}-`
  const name = `${account.iban.slice(-6)}-${currency}${week.label}.${FORMATS[format].ending}`
  return { name, format, from, to }
}

/**
 * The files of all accounts up to now, in the order of account and week: one a week, camt.053 in two
 * versions and canonical CSV by turns or all in one format, all days covered as far as the format
 * says them. With the world's clock only days that are over; the file of a week that has gone on is
 * then longer than it was.
 */
export function bankFilesOf(
  world: SandboxWorld,
  format?: BankFormat,
): { account: SandboxBankAccount; file: BankFile }[] {
  return world.bankAccounts.flatMap((account) => {
    const { nowS } = world
    const yesterday = nowS === undefined ? null : addDays(dayOfInstant(nowS, BANK_ZONE), -1)
    const lastDay = minDay(parseDay(account.lastDay), ...(yesterday === null ? [] : [yesterday]))
    const files: { account: SandboxBankAccount; file: BankFile }[] = []
    let day = parseDay(account.openingDay)
    while (day <= lastDay) {
      const file = bankFileOf(account, day, lastDay, format)
      if (saysSomething(account, file)) files.push({ account, file })
      day = addDays(file.to, 1)
    }
    return files
  })
}

/** A week of which only a weekend is left has no daily statement, and a file without any is none. */
function saysSomething(account: SandboxBankAccount, { format, from, to }: BankFile): boolean {
  const { isDaily, needsEntries } = FORMATS[format]
  if (isDaily) return businessDays(from, to).length > 0
  return !needsEntries || listedLines(account, from, to).length > 0
}

/**
 * Writes what a merchant's bank would drop into the inbox (`bankFilesOf`); a longer file replaces
 * the shorter one of its week.
 * @returns the absolute or relative paths as `dir` is, in the order of account and week.
 */
export async function writeBankFiles(
  world: SandboxWorld,
  dir: string,
  { format }: { readonly format?: BankFormat } = {},
): Promise<string[]> {
  await makeFolder(dir)
  const paths: string[] = []
  for (const { account, file } of bankFilesOf(world, format)) {
    const path = join(dir, file.name)
    await writeFile(path, FORMATS[file.format].write(account, file))
    paths.push(path)
  }
  return paths
}

/** The statements that a file holds: one a business day, or one of all its days. */
export function statementsOf(
  account: SandboxBankAccount,
  { format, from, to }: BankFile,
): SandboxStatement[] {
  return FORMATS[format].isDaily
    ? dailyStatements(account, from, to)
    : [statementBetween(account, from, to, null)]
}

function dailyStatements(account: SandboxBankAccount, from: Day, to: Day): SandboxStatement[] {
  const before = businessDays(parseDay(account.openingDay), addDays(from, -1)).length
  return businessDays(from, to)
    .map((day, at) => ({ day, number: before + at + 1 }))
    .filter(({ day }) => account.missingStatements?.includes(day) !== true)
    .map(({ day, number }) => statementBetween(account, day, day, number))
}

function statementBetween(
  account: SandboxBankAccount,
  from: Day,
  to: Day,
  number: number | null,
): SandboxStatement {
  return {
    from,
    to,
    number,
    openingMinor: balanceBefore(account, from),
    closingMinor: balanceBefore(account, addDays(to, 1)),
    lines: listedLines(account, from, to),
  }
}
