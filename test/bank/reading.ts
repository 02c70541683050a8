/** Bank files in tests: fixtures, readings as text, and small files made to measure. */
import { readFile } from 'node:fs/promises'
import { type BankFileReading, readBankFile, readBankFiles } from '../../src/bank/read-file.ts'
import { balanceState } from '../../src/domain/bank-statement.ts'
import { formatAmount, sumOf } from '../../src/domain/money.ts'
import { InputFault } from '../../src/errors.ts'

export async function readFixture(name: string): Promise<BankFileReading> {
  return readBankFile(await fixture(name), name)
}

export async function fixture(name: string): Promise<Uint8Array> {
  return readFile(new URL(`files/${name}`, import.meta.url))
}

export async function readText(text: string, fileName = 'file'): Promise<BankFileReading> {
  return readBankFile(Buffer.from(text), fileName)
}

/** The message with which a file is refused. */
export async function refusalOf(bytes: Uint8Array | string, fileName = 'file'): Promise<string> {
  const given = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  try {
    await readBankFiles(given, fileName)
  } catch (error) {
    if (error instanceof InputFault) return error.message
    throw error
  }
  throw new Error(`${fileName} was read, although it should have been refused`)
}

/** A reading as lines: each statement, and below it its entries. */
export function told({ statements }: BankFileReading): string[] {
  return statements.flatMap((statement) => {
    const { currency, openingMinor, closingMinor, entries } = statement
    const amount = (minor: bigint | null) => (minor === null ? '?' : formatAmount(minor, currency))
    const movementMinor = sumOf(entries.map(({ amountMinor }) => amountMinor))
    const number = statement.sequenceNumber === null ? '' : ` no. ${statement.sequenceNumber}`
    return [
      `${statement.account} ${currency}${number} ${statement.fromDay}..${statement.toDay} ${amount(openingMinor)} -> ${amount(closingMinor)} ${balanceState(statement, movementMinor)}`,
      ...entries.map((entry) =>
        [
          `  ${entry.place}: ${entry.bookingDay}`,
          amount(entry.amountMinor),
          ...(entry.valueDay === null ? [] : [`value ${entry.valueDay}`]),
          ...(entry.counterpartyName === null ? [] : [`from/to ${entry.counterpartyName}`]),
          ...(entry.counterpartyIban === null ? [] : [`at ${entry.counterpartyIban}`]),
          ...(entry.endToEndId === null ? [] : [`e2e ${entry.endToEndId}`]),
          ...(entry.bankReference === null ? [] : [`ref ${entry.bankReference}`]),
          ...(entry.isReversal ? ['reversal'] : []),
          ...entry.remittance.map((piece) => JSON.stringify(piece)),
        ].join(' '),
      ),
    ]
  })
}

export interface CamtParts {
  readonly frToDt?: string
  readonly created?: string
  /** Such as `OPBD 2024-03-18 100.00`. */
  readonly balances?: readonly string[]
  /** Such as `2024-03-18 100.00` or `2024-03-18 -5.00 some text`. */
  readonly entries?: readonly string[]
  /** More elements of the statement. */
  readonly more?: string
}

/** A camt.053 file of one statement of the account DE89370400440532013000. */
export function camt({
  frToDt,
  created,
  balances = [],
  entries = [],
  more = '',
}: CamtParts): string {
  const amount = (text: string) => {
    const isDebit = text.startsWith('-')
    return `<Amt Ccy="EUR">${isDebit ? text.slice(1) : text}</Amt><CdtDbtInd>${isDebit ? 'DBIT' : 'CRDT'}</CdtDbtInd>`
  }
  const [from, to] = frToDt?.split('..') ?? []
  return [
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>',
    created === undefined ? '' : `<GrpHdr><CreDtTm>${created}</CreDtTm></GrpHdr>`,
    '<Stmt><Id>S</Id>',
    frToDt === undefined ? '' : `<FrToDt><FrDtTm>${from}</FrDtTm><ToDtTm>${to}</ToDtTm></FrToDt>`,
    '<Acct><Id><IBAN>DE89370400440532013000</IBAN></Id><Ccy>EUR</Ccy></Acct>',
    ...balances.map((balance) => {
      const [type = '', day = '', text = ''] = balance.split(' ')
      return `<Bal><Tp><CdOrPrtry><Cd>${type}</Cd></CdOrPrtry></Tp>${amount(text)}<Dt><Dt>${day}</Dt></Dt></Bal>`
    }),
    ...entries.map((entry) => {
      const [day = '', text = '', ...words] = entry.split(' ')
      return `<Ntry>${amount(text)}<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>${day}</Dt></BookgDt><AddtlNtryInf>${words.join(' ')}</AddtlNtryInf></Ntry>`
    }),
    more,
    '</Stmt></BkToCstmrStmt></Document>',
  ]
    .filter((line) => line !== '')
    .join('\n')
}
