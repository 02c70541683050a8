/**
 * The questions that an assistant may ask, and the form of the answers. The descriptions are written
 * for the assistant: what a figure means, in which unit it is, and what a question looks like.
 */
import { z } from 'zod'
import { DISCREPANCY_CODES } from '../domain/reconciliation.ts'

/** Rows in one answer: what an assistant can take in at once. */
const ROWS_MAX = 100
const ROWS_DEFAULT = 20

const day = (what: string) =>
  z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/, 'a day as YYYY-MM-DD')
    .describe(`${what}, as YYYY-MM-DD.`)

const period = z
  .string()
  .regex(
    /^\d{4}-(W\d{2}|\d{2}|\d{2}-\d{2}_\d{4}-\d{2}-\d{2})$/,
    'a period such as 2024-W12, 2024-03 or 2024-03-18_2024-03-24',
  )
  .optional()
  .describe(
    'The period: an ISO week such as 2024-W12, a month such as 2024-03, or a range such as 2024-03-18_2024-03-24. Left out: the newest week that has a report.',
  )

const asOf = day(
  'The day that counts as today. Left out: the day as of which the last report was made, so that the answer agrees with it',
).optional()

const entity = z
  .string()
  .max(200)
  .optional()
  .describe('The name of one legal entity. Left out: all of them.')

const limit = z
  .number()
  .int()
  .min(1)
  .max(ROWS_MAX)
  .default(ROWS_DEFAULT)
  .describe(`How many rows at most, 1 to ${ROWS_MAX}.`)

const offset = z
  .number()
  .int()
  .min(0)
  .max(1_000_000)
  .default(0)
  .describe('How many rows to leave out at the beginning: `next_offset` of the answer before.')

/** An amount, twice: no arithmetic on floating-point numbers is needed to use it. */
const amount = (what: string) =>
  z
    .object({
      text: z
        .string()
        .describe('Decimal text with a point and the digits of the currency, such as -1204.50.'),
      minor: z
        .string()
        .regex(/^-?\d+$/)
        .describe('The same in minor units (cents of EUR), as text because it may exceed 2^53.'),
      currency: z.string().describe('ISO 4217 code.'),
    })
    .describe(what)

const page = {
  total: z.number().int().describe('How many rows there are in all.'),
  truncated: z.boolean().describe('True: there are more rows than this answer holds.'),
  next_offset: z.number().int().nullable().describe('`offset` of the next answer; null: no more.'),
}

const about = {
  period: z.object({
    label: z.string(),
    first: z.string().describe('First day, YYYY-MM-DD.'),
    last: z.string().describe('Last day, itself included.'),
  }),
  as_of: z.string().describe('The day that counted as today.'),
  closed: z
    .boolean()
    .describe('True: the period was signed off, and what was signed is told, with late changes.'),
}

const discrepancy = z.object({
  discrepancy_id: z.string().describe('The same for life; the other tools take it.'),
  code: z.string(),
  status: z
    .string()
    .describe(
      'new: its day lies in the period. open: it is earlier and still open. reopened. cleared: a fact of the period closed it. accepted: written off by a decision.',
    ),
  entity: z.string(),
  difference: amount('Actual less expected; negative: less came than was expected.').nullable(),
  expected: amount('What was expected.').nullable(),
  actual: amount('What was found.').nullable(),
  expected_date: z.string().nullable(),
  actual_date: z.string().nullable(),
  payout_id: z.string().nullable(),
  balance_transaction_id: z.string().nullable().describe("Row of the provider's ledger."),
  payment_id: z.string().nullable(),
  refund_id: z.string().nullable(),
  bank_reference: z.string().nullable().describe("The bank's reference of the line."),
  bank_account: z.string().nullable().describe('Own account, shortened to its ends.'),
  since: z.string().describe('The day of its subject.'),
  age_days: z.number().int().describe('Calendar days from then to `as_of`.'),
  explanation: z.string(),
  next_step: z.string(),
})

const settlement = z.object({
  payout_id: z.string(),
  entity: z.string(),
  created: z.string().describe('The day on which the provider sent it.'),
  transactions: z.number().int().describe('Ledger rows in it.'),
  gross: amount('Sales in it, before fees.'),
  fees: amount('Minus the fees of those sales.'),
  refunds: amount('Refunds taken off, with what came back of their fees.'),
  other: amount('All other rows.'),
  net: amount('Sum of the four before.'),
  payout_amount: amount('What was sent; positive when the merchant receives.'),
  residual: amount('net less payout_amount: 0 where the payout is proved by its rows.'),
  status: z
    .string()
    .describe(
      'matched, in_transit (still within its window, or statements are awaited), missing, amount_differs, ambiguous, returned, elsewhere.',
    ),
  rule: z.string().nullable().describe('The rule that found its deposit; manual: a person did.'),
  bank_references: z.array(z.string()),
  deposit_amount: amount('What the bank booked, of all lines together.').nullable(),
  booked: z.string().nullable().describe('The day on which the bank booked it.'),
  lag_days: z.number().int().nullable().describe('TARGET business days from payout to deposit.'),
  evidence: z.string().nullable().describe('What made the bank line its deposit.'),
  note: z.string(),
})

const found = z.object({
  kind: z.enum(['payout', 'ledger_row', 'refund', 'bank_line', 'discrepancy']),
  id: z.string().describe('What `explain` takes.'),
  entity: z.string().nullable(),
  day: z.string().describe('Sent, created, asked for or booked on; of a discrepancy: since.'),
  amount: amount('Its own amount, signed.').nullable(),
  what: z.string().describe('In a few words.'),
})

const READS_ONLY = 'Reads only. '

/** Every tool by name. */
export const TOOLS = {
  list_discrepancies: {
    title: 'Discrepancies of a period',
    description: `${READS_ONLY}Lists what does not reconcile in a period of the merchant's Alma account: which money is missing, late, too much, or told differently by two records, with explanation and next step. By default the open ones. Rows are in the order of the report. Examples: {} (what is open in the newest week), {"period": "2024-W12", "code": "deposit_missing"}, {"period": "2024-03", "status": "all", "limit": 50}.`,
    input: z.strictObject({
      period,
      status: z
        .enum(['still_open', 'new', 'open', 'reopened', 'cleared', 'accepted', 'all'])
        .default('still_open')
        .describe('still_open: new, open and reopened ones together.'),
      code: z
        .enum(DISCREPANCY_CODES)
        .optional()
        .describe('One kind of discrepancy, such as deposit_missing or fee_rate.'),
      entity,
      as_of: asOf,
      limit,
      offset,
    }),
    output: z.object({ ...about, ...page, discrepancies: z.array(discrepancy) }),
  },
  explain: {
    title: 'Everything about one id',
    description: `${READS_ONLY}Tells everything known of one payout, ledger row (balance transaction), payment, refund, bank line or discrepancy: the rows, the match, the rule and its evidence, bank lines that came close and what stopped each, decisions, reports that named it. Takes an id as other answers and the reports print it. Examples: {"id": "payout_11xWHrMPGnimx7YuAKTXnRqwnGyAS0yz8W"}, {"id": "disc_0123456789abcdef"}, {"id": "2024032189010002"} (a bank reference).`,
    input: z.strictObject({
      id: z.string().min(1).max(200).describe('The whole id. `find` looks for parts of one.'),
      as_of: asOf,
      limit: limit.describe(`How many lines at most in each section, 1 to ${ROWS_MAX}.`),
    }),
    output: z.object({
      id: z.string(),
      as_of: z.string(),
      truncated: z.boolean().describe('True: a section has more lines than it shows.'),
      sections: z.array(
        z.object({ title: z.string(), lines: z.array(z.string()), total: z.number().int() }),
      ),
    }),
  },
  period_summary: {
    title: 'Does a period tie, and what is open',
    description: `${READS_ONLY}The proof of a period: opening balance of the merchant at Alma, movements by kind, payouts, closing balance; payouts sent = matched + in transit + in discrepancy; deposits; discrepancies counted by code. Examples: {} (the newest week), {"period": "2024-W12"}, {"period": "2024-03"}.`,
    input: z.strictObject({ period, entity, as_of: asOf }),
    output: z.object({
      ...about,
      ties: z.boolean().describe('Whether all control totals tie. If not, use no figure of it.'),
      control_faults: z.array(z.string()),
      notes: z.array(z.string()).describe('What a reader must know of it.'),
      lines: z
        .array(
          z.object({
            line: z.string().describe('As in summary.csv, such as opening_balance.'),
            entity: z.string(),
            amount: amount('Signed from the merchant’s side.').nullable(),
            rows: z.number().int(),
          }),
        )
        .describe('Lines of one entity and currency stand together, in the order of the proof.'),
      lines_truncated: z.boolean().describe('True: name an `entity` to see the rest.'),
      discrepancies: z.array(
        z.object({
          code: z.string(),
          title: z.string(),
          open: z.number().int().describe('How many are still open.'),
          at_stake: z
            .array(amount('Sum of the absolute differences of the open ones in a currency.'))
            .describe('One amount a currency.'),
        }),
      ),
      open_items: z.number().int().describe('What only waits, such as payouts in transit.'),
      reports: z
        .array(z.object({ period: z.string(), as_of: z.string(), open_items: z.number().int() }))
        .describe('The newest reports there are, newest period first.'),
    }),
  },
  settlement: {
    title: 'One payout and its deposit',
    description: `${READS_ONLY}How one payout is made up (sales, fees, refunds, other) and what became of it at the bank: which line, by which rule, how many business days later. Example: {"payout_id": "payout_11xWHrMPGnimx7YuAKTXnRqwnGyAS0yz8W"}. With only an amount or a day, ask \`find\` first.`,
    input: z.strictObject({
      payout_id: z.string().min(1).max(200).describe('The whole id.'),
      as_of: asOf,
    }),
    output: z.object({
      as_of: z.string(),
      settlements: z
        .array(settlement)
        .describe('One; more where entities have payouts of the same id.'),
      discrepancies: z.array(discrepancy).describe('What is wrong with it, the open ones.'),
    }),
  },
  find: {
    title: 'Find by amount, day or reference',
    description: `${READS_ONLY}Looks for payouts, ledger rows, refunds, bank lines and discrepancies by amount, by day, by the beginning of an id or reference, or by several of them together (all must hold). Examples: {"amount": "1204.50"}, {"amount": "1204.50", "day": "2024-03-20", "days_around": 5}, {"reference": "payout_11xWHr"}, {"day": "2024-03-20"}.`,
    input: z
      .strictObject({
        amount: z
          .string()
          .regex(/^[+-]?\d{1,15}(\.\d{1,3})?$/, 'a decimal number with a point, such as 1204.50')
          .optional()
          .describe(
            'Decimal text with a point, such as 1204.50, whatever its sign: gross or net of a row, or the amount of a payout, refund, bank line or difference.',
          ),
        currency: z
          .string()
          .regex(/^[A-Z]{3}$/, 'an ISO 4217 code such as EUR')
          .default('EUR')
          .describe('The currency of `amount`.'),
        day: day('The day on which it was sent, created or booked').optional(),
        days_around: z
          .number()
          .int()
          .min(0)
          .max(62)
          .default(0)
          .describe('So many calendar days before and after `day` count as well.'),
        reference: z
          .string()
          .min(4)
          .max(200)
          .optional()
          .describe('At least the first 4 characters of an id or bank reference; case counts.'),
        limit,
      })
      .refine(
        ({ amount: sum, day: on, reference }) =>
          sum !== undefined || on !== undefined || reference !== undefined,
        'give an amount, a day or a reference',
      ),
    output: z.object({
      truncated: z
        .boolean()
        .describe('True: there are more. Add a day, an amount or more of the reference.'),
      found: z.array(found),
    }),
  },
} as const

export type ToolName = keyof typeof TOOLS
export type Question<N extends ToolName> = z.output<(typeof TOOLS)[N]['input']>
export type Answer<N extends ToolName> = z.output<(typeof TOOLS)[N]['output']>

/** Who answers. What is thrown as a `Fault` is told to the assistant, whatever else is not. */
export type Answers = { readonly [N in ToolName]: (question: Question<N>) => Promise<Answer<N>> }
