import { dayOfInstant, parseDay } from '../../src/domain/day.ts'
import { KNOWN_KINDS } from '../../src/domain/balance-transaction.ts'
import { businessDaysBetween } from '../../src/domain/target-calendar.ts'
import type { SandboxAccount, SandboxRow, SandboxWorld } from '../../src/sandbox/world.ts'

/**
 * What is wrong in a world, found by looking at all of it, with the sandbox's own knowledge of which
 * bank line is which payout: no rule of the product is in it. Each finding is `code id`.
 */
export function audit(world: SandboxWorld): string[] {
  return [
    ...world.accounts.flatMap((account) => [
      ...auditPayouts(account),
      ...auditRows(account),
      ...auditRefunds(account),
      ...auditExport(account),
      ...auditDeposits(world, account),
    ]),
    ...auditOtherLines(world),
    ...world.bankAccounts.flatMap((bank) => [
      ...(bank.missingStatements ?? []).map((day) => `statement_gap ${day}`),
      ...bank.lines
        .filter(({ unlisted }) => unlisted)
        .map(({ bookingDay }) => `statement_balance ${bookingDay}`),
    ]),
  ]
}

const isPayout = (row: SandboxRow): boolean => row.kind === 'from_payout'

function sum(rows: readonly SandboxRow[]): number {
  return rows.reduce((total, row) => total + row.net_amount, 0)
}

function auditPayouts({ rows }: SandboxAccount): string[] {
  const ids = new Set(rows.flatMap((row) => row.payout_id ?? row.included_in_payout_id ?? []))
  return [...ids].flatMap((id) => {
    const own = rows.filter((row) => row.payout_id === id)
    const members = rows.filter((row) => row.included_in_payout_id === id)
    if (own.length === 0) return [`payout_unknown ${id}`]
    if (own.length > 1) return [`payout_duplicate ${id}`]
    if (members.length === 0) return [`payout_empty ${id}`]
    return sum(members) + sum(own) === 0 ? [] : [`payout_residual ${id}`]
  })
}

function auditRows({ rows }: SandboxAccount): string[] {
  const sold = new Set<string | null>()
  return rows.flatMap((row) => {
    const found: string[] = []
    if (!isPayout(row) && row.included_in_payout_id === null) found.push('line_not_paid_out')
    if (row.net_amount !== row.amount - row.merchant_fee) found.push('line_arithmetic')
    const isKnown = (KNOWN_KINDS as readonly string[]).includes(row.kind)
    if (!isKnown) found.push('line_unknown_kind')
    const isOutgoing = isPayout(row) || row.kind === 'from_refund'
    if (isKnown && isOutgoing !== row.amount < 0) found.push('line_sign')
    if (row.kind === 'from_transaction') {
      if (sold.has(row.payment_id)) found.push('line_duplicate')
      sold.add(row.payment_id)
    }
    return found.map((code) => `${code} ${row.id}`)
  })
}

function auditRefunds({ rows, payments }: SandboxAccount): string[] {
  const deducted = rows.filter(({ kind }) => kind === 'from_refund')
  const found = deducted.flatMap((row) => {
    const id = row.refund_id ?? ''
    const payment = payments.get(row.payment_id ?? '')
    const refund = payment?.refunds.find((any) => any.id === id)
    if (payment === undefined) return [`refund_without_payment ${id}`]
    if (refund === undefined) return [`refund_unknown ${id}`]
    return refund.amount === -row.amount ? [] : [`refund_amount ${id}`]
  })
  for (const payment of payments.values()) {
    for (const { id } of payment.refunds) {
      if (deducted.every((row) => row.refund_id !== id)) found.push(`refund_not_deducted ${id}`)
    }
    const refunded = payment.refunds.reduce((total, { amount }) => total + amount, 0)
    if (refunded > payment.purchase_amount) found.push(`refund_exceeds_payment ${payment.id}`)
  }
  return found
}

function auditExport({ exportEdits }: SandboxAccount): string[] {
  if (exportEdits === undefined) return []
  return [
    ...[...exportEdits.left_out].map((id) => `export_lacks ${id}`),
    ...exportEdits.added.map(({ id }) => `export_only ${id}`),
    ...[...exportEdits.changed].map(
      ([id, { vat }]) => `${vat === undefined ? 'export_differs' : 'vat_mismatch'} ${id}`,
    ),
  ]
}

function auditDeposits({ bankAccounts }: SandboxWorld, { rows, iban }: SandboxAccount): string[] {
  const lines = bankAccounts.flatMap((bank) => bank.lines)
  const seen = new Set<string>()
  return rows.filter(isPayout).flatMap((row) => {
    const id = row.payout_id ?? ''
    if (seen.has(id)) return []
    seen.add(id)
    const line = lines.find(({ payoutId }) => payoutId === id)
    if (line === undefined) return [`deposit_missing ${id}`]
    if (line.currency !== 'EUR') return [`deposit_wrong_currency ${line.bankReference}`]
    if (line.iban !== iban) return [`deposit_wrong_account ${line.bankReference}`]
    if (line.amountMinor !== -row.amount) return [`deposit_amount ${id} ${line.bankReference}`]
    const lag = businessDaysBetween(
      dayOfInstant(row.created, 'Europe/Paris'),
      parseDay(line.bookingDay),
    )
    return lag > 5 ? [`deposit_late ${id}`] : []
  })
}

/** Lines that look like the provider's and are no payout's. */
function auditOtherLines({ bankAccounts }: SandboxWorld): string[] {
  return bankAccounts.flatMap(({ lines }) =>
    lines
      .filter((line) => line.payoutId === undefined && /\bALMA\b/.test(line.counterpartyName))
      .map(({ amountMinor, remittance, bankReference }) => {
        const named = /payout_\w{34}/.exec(remittance)?.[0]
        if (amountMinor < 0) {
          return named === undefined
            ? `debit_unexpected ${bankReference}`
            : `deposit_returned ${named}`
        }
        return `${named === undefined ? 'deposit_unexpected' : 'deposit_duplicate'} ${bankReference}`
      }),
  )
}
