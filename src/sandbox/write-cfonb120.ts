import { addDays } from '../domain/day.ts'
import { currencyDigits, parseCurrency } from '../domain/money.ts'
import type { BankLine, SandboxBankAccount } from './model.ts'
import {
  currencyOf,
  fixedRecord,
  frenchAccount,
  pieces,
  type SandboxStatement,
  shortDay,
} from './statement.ts'

const WIDTH = 120
/** What a complement (`05`) holds behind its qualifier. */
const COMPLEMENT_LENGTH = 70

type Field = readonly [position: number, text: string]

/**
 * CFONB 120: old balance, movements with their complements and new balance of each statement. The
 * format carries no account of who paid, and no number of the statement.
 * @throws Error for an account that is not French.
 */
export function writeCfonb120(
  account: SandboxBankAccount,
  statements: readonly SandboxStatement[],
): string {
  const record = (code: string, day: string, fields: readonly Field[]): string =>
    fixedRecord(WIDTH, [...accountFields(account, code), [35, shortDay(day, 'DDMMYY')], ...fields])
  return statements
    .flatMap(({ from, to, openingMinor, closingMinor, lines }) => [
      // The old balance is that of the evening before.
      record('01', addDays(from, -1), [[91, overpunched(openingMinor)]]),
      ...lines.flatMap((line) => [
        record('04', line.bookingDay, movementFields(line)),
        ...complements(line).map(([qualifier, text]) =>
          record('05', line.bookingDay, [
            [33, operationCode(line)],
            [46, qualifier],
            [49, text],
          ]),
        ),
      ]),
      record('07', to, [[91, overpunched(closingMinor)]]),
    ])
    .map((text) => `${text}\r\n`)
    .join('')
}

function accountFields(account: SandboxBankAccount, code: string): Field[] {
  const { bank, branch, number } = frenchAccount(account.iban)
  const currency = parseCurrency(currencyOf(account))
  return [
    [1, code],
    [3, bank],
    [12, branch],
    [17, currency],
    [20, String(currencyDigits(currency))],
    [22, number],
  ]
}

function movementFields(line: BankLine): Field[] {
  return [
    [33, operationCode(line)],
    [43, shortDay(line.valueDay, 'DDMMYY')],
    [49, line.amountMinor < 0 ? 'VIR SEPA EMIS' : 'VIR SEPA RECU'],
    [91, overpunched(line.amountMinor)],
    [105, line.bankReference],
  ]
}

/** Transfers received and transfers made. */
function operationCode({ amountMinor }: BankLine): '05' | '06' {
  return amountMinor < 0 ? '06' : '05'
}

/** By qualifier: the other side, the end-to-end id, and the text in the places of a transfer's. */
function complements(line: BankLine): [qualifier: string, text: string][] {
  const isCredit = line.amountMinor >= 0
  const texts = pieces(line.remittance, COMPLEMENT_LENGTH)
  const given: [qualifier: string, text: string][] = [
    [isCredit ? 'NPY' : 'NBE', line.counterpartyName],
    ['CBE', isCredit ? '' : line.counterpartyIban],
    ['RCN', line.endToEndId],
    ...texts.map((text, at): [string, string] => [['LCC', 'LC2'][at] ?? 'LIB', text]),
  ]
  return given.filter(([, text]) => text !== '')
}

/** Fourteen characters, the last one of which is a digit and the sign: `0000000120450{`. */
function overpunched(amountMinor: number): string {
  const digits = String(Math.abs(amountMinor)).padStart(14, '0')
  const letters = amountMinor < 0 ? '}JKLMNOPQR' : '{ABCDEFGHI'
  return digits.slice(0, -1) + letters.charAt(Number(digits.at(-1)))
}
