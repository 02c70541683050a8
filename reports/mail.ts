/** The mail of a period: its subject states the result, its text leads with what is new. */
import { keyOf } from '../src/domain/discrepancy-key.ts'
import { money } from '../src/domain/findings.ts'
import { absolute, sumOf } from '../src/domain/money.ts'
import { sellingStopSentence } from '../src/domain/plans.ts'
import type { DiscrepancyRow, Reconciliation, SummaryLine } from '../src/domain/reconciliation.ts'
import { groupBy } from '../src/domain/collections.ts'
import { changesSince, isOpenStatus, type LastMail } from './changes.ts'

export interface MailText {
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** Discrepancies told in the text; the attached files hold all. */
const TOLD_MAX = 20

/**
 * @param notes what a reader must know of the report, each as a sentence.
 * @param isIncomplete whether it had to do without something; then nothing is called clear.
 * @param lastMail what the same recipients were told last; null: nothing is known of it.
 */
export function mailText(
  {
    period,
    asOf,
    discrepancies,
    summary,
    plans,
  }: Pick<Reconciliation, 'period' | 'asOf' | 'discrepancies' | 'summary' | 'plans'>,
  notes: readonly string[],
  isIncomplete: boolean,
  lastMail: LastMail | null = null,
): MailText {
  const open = discrepancies.filter(({ status }) => isOpenStatus(status))
  const news =
    lastMail === null || lastMail.asOf === null ? null : newsSince(lastMail, discrepancies)
  const rest = open.filter((row) => news?.told.has(row) !== true)
  const fresh = rest.filter(({ status }) => status === 'new').toSorted(byStake)
  const older = rest.filter(({ status }) => status !== 'new').toSorted(byStake)
  const cleared = discrepancies.filter(
    (row) => row.status === 'cleared' && news?.told.has(row) !== true,
  )
  const subject = subjectOf(period.label, open, isIncomplete)
  const remarks = (plans?.remarks ?? []).map(({ entity, text }) => `${entity}: ${text}`)
  const sections: Section[] = [
    { title: 'No payments can be made', lines: (plans?.stops ?? []).map(sellingStopSentence) },
    {
      title: isIncomplete ? 'What is missing from this report' : 'To know',
      lines: [...notes, ...remarks],
    },
    ...(news?.sections ?? []),
    {
      title: `New${news === null ? '' : ' in this period, told before'} (${fresh.length})`,
      lines: told(fresh),
    },
    { title: `Open from before (${older.length})`, lines: told(older) },
    { title: `Cleared (${cleared.length})`, lines: told(cleared) },
    { title: 'The proof', lines: proofLines(summary) },
  ].filter(({ lines }) => lines.length > 0)
  const head = `Reconciliation of Alma ${period.label} (${period.first} to ${period.last}), as of ${asOf}.`
  const foot = 'The attached CSV files hold every row, with what to do about each.'
  return { subject, text: plain(head, sections, foot), html: page(subject, head, sections, foot) }
}

/** What the recipients do not know yet stands first. */
function newsSince(
  lastMail: LastMail,
  discrepancies: readonly DiscrepancyRow[],
): { readonly sections: Section[]; readonly told: ReadonlySet<DiscrepancyRow> } {
  const changes = changesSince(lastMail, discrepancies)
  const rows = (kind: 'new' | 'changed' | 'settled'): DiscrepancyRow[] =>
    changes.flatMap((change) => (change.kind === kind ? [change.row] : [])).toSorted(byStake)
  const gone = changes.flatMap((change) => (change.kind === 'gone' ? [change.before] : []))
  const since = `since the mail of ${lastMail.asOf ?? ''}`
  const sections = [
    { title: `New ${since} (${rows('new').length})`, lines: told(rows('new')) },
    { title: `Changed ${since} (${rows('changed').length})`, lines: told(rows('changed')) },
    { title: `Settled ${since} (${rows('settled').length})`, lines: told(rows('settled')) },
    {
      title: `Gone ${since} (${gone.length})`,
      lines: cut(
        gone.map(
          ({ code, discrepancyId, since: begun, differenceMinor, currency }) =>
            `${code}${differenceMinor === null ? '' : ` ${money(differenceMinor, currency)}`}, ${discrepancyId}, since ${begun}: the facts of today do not show it any more.`,
        ),
      ),
    },
    {
      title: `Nothing changed ${since}`,
      lines: changes.length === 0 ? ['What stands below was told before.'] : [],
    },
  ]
  return {
    sections,
    told: new Set(changes.flatMap((change) => (change.kind === 'gone' ? [] : [change.row]))),
  }
}

interface Section {
  readonly title: string
  readonly lines: readonly string[]
}

export function subjectOf(
  period: string,
  open: readonly DiscrepancyRow[],
  isIncomplete: boolean,
): string {
  if (open.length === 0)
    return isIncomplete ? `Alma ${period}: incomplete` : `Alma ${period}: all clear`
  const stakes = [...groupBy(open, ({ currency }) => currency)]
    .map(([currency, rows]) => money(sumOf(rows.map(stake)), currency))
    .join(' + ')
  return `Alma ${period}: ${isIncomplete ? 'incomplete, ' : ''}${open.length} open, ${stakes} at stake`
}

function stake({ differenceMinor }: DiscrepancyRow): bigint {
  return absolute(differenceMinor ?? 0n)
}

function byStake(a: DiscrepancyRow, b: DiscrepancyRow): number {
  return stake(b) > stake(a) ? 1 : stake(b) < stake(a) ? -1 : 0
}

function told(rows: readonly DiscrepancyRow[]): string[] {
  return cut(
    rows.map((row) => {
      const amount =
        row.differenceMinor === null ? '' : ` ${money(row.differenceMinor, row.currency)}`
      return `${row.code}${amount}, ${keyOf(row)}, since ${row.since}: ${row.explanation} ${row.nextStep}`
    }),
  )
}

function cut(lines: readonly string[]): string[] {
  return lines.length > TOLD_MAX
    ? [...lines.slice(0, TOLD_MAX), `and ${lines.length - TOLD_MAX} more in discrepancies.csv`]
    : [...lines]
}

const PROOF_LINES: readonly string[] = [
  'opening_balance',
  'closing_balance',
  'payouts_sent',
  'payouts_matched',
  'payouts_in_transit',
  'payouts_in_discrepancy',
  'deposits_received',
]

function proofLines(summary: readonly SummaryLine[]): string[] {
  return summary
    .filter(({ line }) => PROOF_LINES.includes(line))
    .map(
      ({ line, entity, currency, amountMinor, rows }) =>
        `${entity}: ${line.replaceAll('_', ' ')} ${money(amountMinor ?? 0n, currency)} (${rows})`,
    )
}

function plain(head: string, sections: readonly Section[], foot: string): string {
  const parts = sections.map(
    ({ title, lines }) => `${title}\n${lines.map((line) => `- ${line}`).join('\n')}`,
  )
  return `${[head, ...parts, foot].join('\n\n')}\n`
}

function page(subject: string, head: string, sections: readonly Section[], foot: string): string {
  const parts = sections.map(
    ({ title, lines }) =>
      `<h2 style="font-size:1.05em;margin:1.2em 0 .3em">${escapeHtml(title)}</h2><ul style="margin:0;padding-left:1.2em">${lines.map((line) => `<li style="margin:.3em 0">${escapeHtml(line)}</li>`).join('')}</ul>`,
  )
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head><body style="font:15px/1.45 system-ui,sans-serif;max-width:48em"><p>${escapeHtml(head)}</p>${parts.join('')}<p>${escapeHtml(foot)}</p></body></html>\n`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Bank texts and ids come from outside and may hold markup. */
function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign)
}
