import { stringify } from 'csv-stringify/sync'
import { wallClock } from '../domain/day.ts'
import type { SandboxAccount, SandboxRow } from './model.ts'
import { vatOfFee } from './plans.ts'
import type { SandboxSwitches } from './switches.ts'

/** Times in the file are wall clocks of Paris, whatever the merchant's zone (documentation of the export). */
const EXPORT_ZONE = 'Europe/Paris'

type Cell = string | number | null

/** A row as the export writes it: whole cents. */
export interface ExportedRow {
  row: SandboxRow
  account: SandboxAccount
  gross: number
  fee: number
  net: number
  vat: number
}

type Column = readonly [label: string, cell: (exported: ExportedRow) => Cell]

/** The documented columns under their documented labels, and the order's reference. */
function columns(switches: SandboxSwitches): Column[] {
  const apostrophe = switches.exportApostrophe === 'typographic' ? '\u2019' : "'"
  const paymentOf = ({ row, account }: ExportedRow) => account.payments.get(row.payment_id ?? '')
  const documented: Column[] = [
    ['Créée (Heure Europe/Paris)', ({ row }) => wallClock(row.created, EXPORT_ZONE)],
    ['Montant brut (centimes)', ({ gross }) => gross],
    ['Frais Alma (centimes)', ({ fee }) => fee],
    ['Montant net (centimes)', ({ net }) => net],
    ['Montant TVA (centimes)', ({ vat }) => vat],
    [
      `Nombre d${apostrophe}échéances`,
      (exported) => paymentOf(exported)?.installments_count ?? null,
    ],
    [
      'Nom client',
      (exported) => {
        const customer = paymentOf(exported)?.customer
        return customer === undefined ? null : `${customer.first_name} ${customer.last_name}`
      },
    ],
    ['Email client', (exported) => paymentOf(exported)?.customer.email ?? null],
    ['Identifiant ligne comptable', ({ row }) => row.id],
    ['Identifiant paiement', ({ row }) => row.payment_id],
    ['Identifiant remboursement', ({ row }) => row.refund_id],
    [
      'Référence commande',
      (exported) => paymentOf(exported)?.orders[0]?.merchant_reference ?? null,
    ],
  ]
  if (!switches.exportExtraColumns) return documented
  return [
    ['Boutique', ({ account }) => account.name],
    ...documented,
    ['Canal', () => 'online'],
    ['Montant indicatif', () => '12,50'],
  ]
}

/** The file of an accounting export over these rows: every ledger movement, amounts in cents. */
export function accountingCsv(
  account: SandboxAccount,
  rows: readonly SandboxRow[],
  switches: SandboxSwitches,
): string {
  const exported = exportedRows(account, rows, switches)
  const written = columns(switches)
  return stringify(
    [
      written.map(([label]) => label),
      ...exported.map((row) => written.map(([, cell]) => cell(row))),
    ],
    { delimiter: switches.exportDelimiter, bom: switches.exportBom },
  )
}

/** What the file says of these rows, with the account's edits of the export. */
export function exportedRows(
  account: SandboxAccount,
  rows: readonly SandboxRow[],
  switches: SandboxSwitches,
): ExportedRow[] {
  const edits = account.exportEdits
  return rows
    .filter(
      (row) =>
        edits?.left_out.has(row.id) !== true &&
        (switches.exportPayoutRows || row.kind !== 'from_payout'),
    )
    .map((row) => exportedRow(account, row, switches))
}

function exportedRow(
  account: SandboxAccount,
  row: SandboxRow,
  switches: SandboxSwitches,
): ExportedRow {
  const edit = account.exportEdits?.changed.get(row.id)
  const fee = edit?.fee ?? row.merchant_fee
  const unsigned = switches.exportRefundSign === 'unsigned' && row.kind === 'from_refund'
  const shown = (amount: number): number => (unsigned ? Math.abs(amount) : amount)
  return {
    row,
    account,
    gross: shown(edit?.gross ?? row.amount),
    fee: shown(fee),
    net: shown(edit?.net ?? row.net_amount),
    vat: shown(edit?.vat ?? vatOfFee(fee, account.feeVat ?? 'excluded')),
  }
}
