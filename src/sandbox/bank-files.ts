import { mkdir, writeFile } from 'node:fs/promises'
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
import { formatAmount } from '../domain/money.ts'
import { weekOf } from '../domain/period.ts'
import { isBusinessDay } from '../domain/target-calendar.ts'
import type { BankLine, SandboxBankAccount, SandboxWorld } from './model.ts'

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
  const currency = account.currency ?? 'EUR'
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
  const unsigned = formatAmount(BigInt(Math.abs(amountMinor)), currency)
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

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
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
  const currency = account.currency ?? 'EUR'
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

function decimal(amountMinor: number, currency: string): string {
  return formatAmount(BigInt(amountMinor), currency)
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

export interface BankFile {
  /** Without a folder. */
  readonly name: string
  readonly format: 'camt.053.001.08' | 'camt.053.001.02' | 'canonical'
  readonly from: Day
  readonly to: Day
}

const FORMATS = ['camt.053.001.08', 'canonical', 'camt.053.001.02'] as const

/**
 * The file in which `writeBankFiles` puts a day of an account: one a week, the formats taking turns.
 * @param lastDay up to which there are statements, if not yet to the account's last day
 */
export function bankFileOf(
  account: SandboxBankAccount,
  day: Day,
  lastDay = parseDay(account.lastDay),
): BankFile {
  const first = parseDay(account.openingDay)
  const week = weekOf(day)
  const from = maxDay(week.first, first)
  const to = minDay(week.last, lastDay)
  const turn = Math.floor(daysBetween(weekOf(first).first, week.first) / 7) % FORMATS.length
  const format = FORMATS[turn] ?? 'canonical'
  const ending = format === 'canonical' ? 'csv' : 'xml'
  const currency = account.currency === undefined ? '' : `${account.currency}-`
  const name = `${account.iban.slice(-6)}-${currency}${week.label}.${ending}`
  return { name, format, from, to }
}

/**
 * The files of all accounts up to now, in the order of account and week: one a week, camt.053 in two
 * versions and canonical CSV by turns, all days covered. With the world's clock only days that are
 * over; the file of a week that has gone on is then longer than it was.
 */
export function bankFilesOf(
  world: SandboxWorld,
): { account: SandboxBankAccount; file: BankFile }[] {
  return world.bankAccounts.flatMap((account) => {
    const { nowS } = world
    const yesterday = nowS === undefined ? null : addDays(dayOfInstant(nowS, BANK_ZONE), -1)
    const lastDay = minDay(parseDay(account.lastDay), ...(yesterday === null ? [] : [yesterday]))
    const files: { account: SandboxBankAccount; file: BankFile }[] = []
    let day = parseDay(account.openingDay)
    while (day <= lastDay) {
      const file = bankFileOf(account, day, lastDay)
      // A week of which only a weekend is left has no camt statement, and a message without any is none.
      if (file.format === 'canonical' || businessDays(file.from, file.to).length > 0) {
        files.push({ account, file })
      }
      day = addDays(file.to, 1)
    }
    return files
  })
}

/**
 * Writes what a merchant's bank would drop into the inbox (`bankFilesOf`); a longer file replaces
 * the shorter one of its week.
 * @returns the absolute or relative paths as `dir` is, in the order of account and week.
 */
export async function writeBankFiles(world: SandboxWorld, dir: string): Promise<string[]> {
  await mkdir(dir, { recursive: true })
  const paths: string[] = []
  for (const { account, file } of bankFilesOf(world)) {
    const path = join(dir, file.name)
    await writeFile(path, bankFileText(account, file))
    paths.push(path)
  }
  return paths
}

/** One statement of a file, before it is written in the file's format. */
export interface SandboxStatement {
  readonly from: Day
  readonly to: Day
  /** Counts the business days since the account's first; null in canonical CSV, which has no numbers. */
  readonly number: number | null
  readonly openingMinor: number
  readonly closingMinor: number
  readonly lines: readonly BankLine[]
}

/** The statements that a file holds: one in canonical CSV, one a business day in camt.053. */
export function statementsOf(
  account: SandboxBankAccount,
  { format, from, to }: BankFile,
): SandboxStatement[] {
  return format === 'canonical'
    ? [statementBetween(account, from, to, null)]
    : dailyStatements(account, from, to)
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

function bankFileText(account: SandboxBankAccount, file: BankFile): string {
  return file.format === 'canonical'
    ? writeCanonicalCsv(account, file.from, file.to)
    : writeCamt053(account, file.from, file.to, {
        version: file.format === 'camt.053.001.02' ? 2 : 8,
      })
}
