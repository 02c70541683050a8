import { stringify } from 'csv-stringify/sync'
import type { BankLine, SandboxBankAccount } from './model.ts'
import { currencyOf, decimalComma, frenchAccount, type SandboxStatement } from './statement.ts'

/**
 * The export of Qonto's French web bank, newest row first. The balance after each row proves the
 * file; what it covers begins with its first row and ends with its last. It carries no value day
 * apart from the day, and no end-to-end id.
 */
export function writeQontoCsv(
  account: SandboxBankAccount,
  { openingMinor, lines }: SandboxStatement,
): string {
  let balanceMinor = openingMinor
  const rows = lines.map((line) => {
    balanceMinor += line.amountMinor
    return qontoRow(account, line, balanceMinor)
  })
  return table([QONTO_COLUMNS, ...rows.toReversed()])
}

const QONTO_COLUMNS = [
  'Statut',
  'Date de la valeur (local)',
  'Montant total (TTC)',
  'Débit',
  'Crédit',
  'Solde',
  'Devise',
  'IBAN du compte',
  'Nom de la contrepartie',
  'IBAN de la contrepartie',
  'Méthode de paiement',
  'Identifiant de transaction',
  'Référence',
]

function qontoRow(account: SandboxBankAccount, line: BankLine, balanceMinor: number): string[] {
  const { amountMinor, currency } = line
  const unsigned = decimalComma(Math.abs(amountMinor), currency)
  return [
    'Exécuté',
    `${frenchDay(line.bookingDay, '-')} 09:00:00`,
    decimalComma(amountMinor, currency),
    amountMinor < 0 ? unsigned : '',
    amountMinor < 0 ? '' : unsigned,
    decimalComma(balanceMinor, currency),
    currency,
    account.iban,
    line.counterpartyName,
    line.counterpartyIban,
    'Virement',
    line.bankReference,
    line.remittance.replaceAll('\n', ' '),
  ]
}

/**
 * The export of BNP Paribas's web bank, newest row first, under a line with the account's number and
 * its balance. It has no opening balance, so that it cannot prove itself, and no reference of the
 * bank: reports name an entry by file and line. The number is whole here; the bank often masks it,
 * and then the account must be given (`import-bank --account`).
 * @throws Error for an account that is not French or not in euros.
 */
export function writeBnpParibasCsv(
  account: SandboxBankAccount,
  { to, closingMinor, lines }: SandboxStatement,
): string {
  const { bank, branch, number, key } = frenchAccount(account.iban)
  const currency = currencyOf(account)
  // The column of amounts says euros, whatever the account.
  if (currency !== 'EUR') throw new Error(`${account.iban} is in ${currency}, not in euros`)
  const balance = decimalComma(closingMinor, currency)
  const head = [
    'Compte de chèques',
    'SARL LES LILAS',
    bank + branch + number + key,
    frenchDay(to, '/'),
    '',
    balance,
  ]
  return `${table([head])}\n${table([BNP_PARIBAS_COLUMNS, ...lines.map(bnpParibasRow).toReversed()])}`
}

const BNP_PARIBAS_COLUMNS = [
  'Date operation',
  'Libelle court',
  'Type operation',
  'Libelle operation',
  'Montant operation en euro',
]

function bnpParibasRow(line: BankLine): string[] {
  const isSent = line.amountMinor < 0
  const text = [
    isSent
      ? `VIR SEPA EMIS /BEN ${line.counterpartyName}`
      : `VIR SEPA RECU /DE ${line.counterpartyName}`,
    `/MOTIF ${line.remittance.replaceAll('\n', ' ')}`,
    ...(line.endToEndId === '' ? [] : [`/REF ${line.endToEndId}`]),
  ]
  return [
    frenchDay(line.bookingDay, '/'),
    isSent ? 'VIREMENT EMIS' : 'VIREMENT RECU',
    isSent ? 'Virement emis' : 'Virement recu',
    text.join(' '),
    decimalComma(line.amountMinor, line.currency),
  ]
}

function frenchDay(day: string, mark: '-' | '/'): string {
  return [day.slice(8), day.slice(5, 7), day.slice(0, 4)].join(mark)
}

function table(rows: readonly (readonly string[])[]): string {
  return stringify(
    rows.map((row) => [...row]),
    { delimiter: ';' },
  )
}
