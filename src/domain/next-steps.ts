import type { DiscrepancyCode } from './reconciliation.ts'

/** What a person does about each kind of discrepancy: the report's `next_step`. */
const NEXT_STEPS: Readonly<Record<DiscrepancyCode, string>> = {
  payout_residual:
    'Ask Alma for the composition of this payout and compare it with the rows named here; book the difference to a suspense account until it is explained.',
  payout_empty:
    'Ask Alma which transactions this payout pays; do not book it against sales before that.',
  payout_unknown:
    'Ask Alma for the missing payout row; check on the bank statement whether the money came.',
  payout_duplicate:
    'Check on the bank statement that the money came once, and ask Alma to correct the ledger.',
  line_not_paid_out: 'Ask Alma why this transaction is in no payout yet, quoting its id.',
  line_arithmetic: 'Ask Alma which of gross, fee and net is right; post the net until then.',
  line_sign: 'Ask Alma to confirm the direction of this row before it is booked.',
  line_duplicate:
    'Ask Alma whether the second row is a mistake; post only one of the two until then.',
  line_unknown_kind: 'Find out from Alma what this kind of row is and how it is to be booked.',
  line_changed: 'Check what was booked from the earlier figures, and ask Alma why the row changed.',
  line_vanished: 'Check what was booked from this row, and ask Alma why it is gone.',
  fee_rate: 'Compare with the contract and claim the difference from Alma.',
  plan_not_offered:
    'Find out in the shop how this plan could be chosen, and ask Alma whether it will be honoured.',
  plan_amount:
    'Check the amounts that the shop offers this plan for, and ask Alma whether the sale stands.',
  vat_mismatch: 'Check the VAT of this fee on the invoice from Alma before deducting it.',
  export_only: 'Ask Alma why the export holds a row that its ledger does not show.',
  export_lacks: 'Ask for the export again later; if the row is still missing, ask Alma.',
  export_differs: 'Ask Alma which of the two is right; book from the ledger until then.',
  refund_without_payment: 'Ask Alma which sale was refunded; check the refund in the shop.',
  refund_unknown:
    'Check in the shop whether this refund was ever asked for; if not, claim the amount from Alma.',
  refund_amount: 'Compare with the refund in the shop and claim or book the difference.',
  refund_not_deducted:
    'Expect the deduction in a later payout, or ask Alma whether the refund was carried out.',
  refund_exceeds_payment:
    'Check the refunds of this sale in the shop: more was given back than was paid.',
  deposit_missing: 'Ask the bank, then Alma, to trace this transfer.',
  deposit_late: 'Nothing to book; tell Alma if payouts are late often.',
  deposit_amount:
    'Find out what was held back or added (a bank charge, a correction) and book the difference.',
  deposit_ambiguous:
    'Compare the payment advice from Alma with the bank lines named here and decide which belong together.',
  deposit_unexpected:
    'Ask Alma what this payment is for; book it to a suspense account until then.',
  debit_unexpected:
    'Ask Alma what this debit is for; dispute it with the bank in time if nobody can say.',
  deposit_duplicate:
    'Tell Alma that this payout came twice; the second payment will be asked back.',
  deposit_returned:
    'Check the account details that Alma holds, and ask when the payout will be sent again.',
  deposit_wrong_account:
    'Move the money to the account of the entity that it belongs to, and correct the account at Alma.',
  deposit_wrong_currency:
    'Ask Alma why the payout came in another currency; book the exchange difference.',
  statement_gap:
    'Get the missing bank statements and put them into the inbox; until then nothing is said about these days.',
  statement_balance:
    'Get this statement from the bank again: it does not add up, so its entries may be incomplete.',
  late_change:
    'Decide whether the closed period must be corrected; the change is listed here, nothing was rewritten.',
}

export function nextStepFor(code: DiscrepancyCode): string {
  return NEXT_STEPS[code]
}
