import { addDays } from '../domain/day.ts'
import type { BankLine, SandboxBankAccount } from './model.ts'
import {
  currencyOf,
  decimal,
  escapeXml,
  frenchAccount,
  type SandboxStatement,
} from './statement.ts'

/** What OFX allows in a `NAME`; a longer one stands whole in `EXTDNAME`. */
const NAME_LENGTH = 32

/**
 * OFX 2.1.1. It has a closing balance and no opening one, so that no statement of it proves itself;
 * it carries neither end-to-end ids nor numbers of statements.
 * @throws Error for an account that is not French.
 */
export function writeOfx(
  account: SandboxBankAccount,
  statements: readonly SandboxStatement[],
): string {
  const made = statements.at(-1)?.to
  if (made === undefined) throw new Error('OFX was to be written of no days')
  return [
    '<?xml version="1.0" encoding="UTF-8" standalone="no"?>',
    '<?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE"?>',
    '<OFX>',
    ` <SIGNONMSGSRSV1><SONRS>${OK}<DTSERVER>${compactDay(addDays(made, 1))}050000</DTSERVER><LANGUAGE>FRA</LANGUAGE></SONRS></SIGNONMSGSRSV1>`,
    ' <BANKMSGSRSV1>',
    ...statements.map((statement) => statementResponse(account, statement)),
    ' </BANKMSGSRSV1>',
    '</OFX>',
    '',
  ].join('\n')
}

const OK = '<STATUS><CODE>0</CODE><SEVERITY>INFO</SEVERITY></STATUS>'

function statementResponse(account: SandboxBankAccount, statement: SandboxStatement): string {
  const { from, to, closingMinor, lines } = statement
  const { bank, branch, number } = frenchAccount(account.iban)
  const currency = currencyOf(account)
  return [
    `  <STMTTRNRS><TRNUID>0</TRNUID>${OK}<STMTRS>`,
    `   <CURDEF>${currency}</CURDEF>`,
    `   <BANKACCTFROM><BANKID>${bank}</BANKID><BRANCHID>${branch}</BRANCHID><ACCTID>${number}</ACCTID><ACCTTYPE>CHECKING</ACCTTYPE></BANKACCTFROM>`,
    `   <BANKTRANLIST><DTSTART>${compactDay(from)}</DTSTART><DTEND>${compactDay(to)}</DTEND>`,
    ...lines.map(transaction),
    '   </BANKTRANLIST>',
    `   <LEDGERBAL><BALAMT>${decimal(closingMinor, currency)}</BALAMT><DTASOF>${compactDay(to)}</DTASOF></LEDGERBAL>`,
    '  </STMTRS></STMTTRNRS>',
  ].join('\n')
}

function compactDay(day: string): string {
  return day.replaceAll('-', '')
}

function transaction(line: BankLine): string {
  const elements: [name: string, text: string][] = [
    ['TRNTYPE', line.amountMinor < 0 ? 'DEBIT' : 'CREDIT'],
    ['DTPOSTED', compactDay(line.bookingDay)],
    ['DTAVAIL', compactDay(line.valueDay)],
    ['TRNAMT', decimal(line.amountMinor, line.currency)],
    ['FITID', line.bankReference],
    ['NAME', line.counterpartyName.slice(0, NAME_LENGTH)],
    ['EXTDNAME', line.counterpartyName.length > NAME_LENGTH ? line.counterpartyName : ''],
    ['MEMO', line.remittance.replaceAll('\n', ' ')],
  ]
  const given = elements.filter(([, text]) => text !== '')
  return `    <STMTTRN>${given.map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`).join('')}</STMTTRN>`
}
