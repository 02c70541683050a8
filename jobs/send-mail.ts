/** Sends the report of a period to those who want it: the same result once, a failure again later. */
import { createHash } from 'node:crypto'
import type { Db } from '../db/client.ts'
import { beginDelivery, endDelivery, type MailSubject, wasSent } from '../db/mail-deliveries.ts'
import { mailText } from '../reports/mail.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { groupBy } from '../src/domain/collections.ts'
import type { Reconciliation } from '../src/domain/reconciliation.ts'
import { Fault } from '../src/errors.ts'
import { sendMail } from '../src/mail/mailer.ts'
import type { Progress } from '../src/progress.ts'

export interface SendMailArgs {
  readonly config: Config
  readonly runId: number
  readonly reconciliation: Reconciliation
  /** What a reader must know of the report, each as a sentence. */
  readonly notes: readonly string[]
  /** Whether the report had to do without something. */
  readonly isIncomplete: boolean
  /** The entities that the report is about. */
  readonly entities: readonly EntityConfig[]
  /** The report's files for some of the entities, by name: nobody is sent another entity's rows. */
  readonly textsFor: (entities: readonly string[]) => ReadonlyMap<string, string>
  /** Mail although nothing changed since the last one, as a summary of this day; null: only changes. */
  readonly summaryOf: string | null
}

/** @returns the faults for which mails are still to be sent; nothing is thrown for them. */
export async function mailReports(
  db: Db,
  args: SendMailArgs,
  progress: Progress,
): Promise<Fault[]> {
  const { config, reconciliation, entities } = args
  const { smtpUrl, mailFrom } = config
  if (smtpUrl === null || mailFrom === null) {
    progress.note('SMTP_URL is not set: nothing is mailed')
    return []
  }
  const faults: Fault[] = []
  for (const [recipients, group] of groupBy(entities, ({ mailTo }) =>
    [...mailTo].toSorted().join(','),
  )) {
    if (recipients === '') {
      progress.note(
        `nobody is to be mailed about ${group.map(({ name }) => name).join(', ')} (MAIL_TO)`,
      )
      continue
    }
    const names = group.map(({ name }) => name)
    const subject = subjectFor(ofEntities(reconciliation, names), recipients, args)
    if (await wasSent(db, subject)) {
      progress.note(`mail of ${subject.period}: nothing new since the last one`)
      continue
    }
    const fault = await deliver(
      db,
      { ...args, config: { ...config, smtpUrl, mailFrom } },
      names,
      subject,
    )
    if (fault === null) progress.note(`mail of ${subject.period} sent`)
    else faults.push(fault)
  }
  return faults
}

/** The part of a reconciliation that is about some entities. */
export function ofEntities(
  reconciliation: Reconciliation,
  names: readonly string[],
): Reconciliation {
  const isTheirs = ({ entity }: { readonly entity: string }): boolean => names.includes(entity)
  return {
    ...reconciliation,
    discrepancies: reconciliation.discrepancies.filter(isTheirs),
    settlements: reconciliation.settlements.filter(isTheirs),
    refunds: reconciliation.refunds.filter(isTheirs),
    openItems: reconciliation.openItems.filter(isTheirs),
    summary: reconciliation.summary.filter(isTheirs),
    matches: reconciliation.matches.filter(isTheirs),
  }
}

/** What makes a result: its discrepancies and what is missing, not the day on which it was looked at. */
function subjectFor(
  { period, discrepancies }: Reconciliation,
  recipients: string,
  { notes, summaryOf }: SendMailArgs,
): MailSubject {
  const result = {
    notes,
    summaryOf,
    discrepancies: discrepancies.map(({ discrepancyId, status, differenceMinor, explanation }) => [
      discrepancyId,
      status,
      differenceMinor?.toString() ?? null,
      explanation,
    ]),
  }
  const resultSha256 = createHash('sha256').update(JSON.stringify(result)).digest('hex')
  return { period: period.label, recipients, resultSha256 }
}

async function deliver(
  db: Db,
  args: SendMailArgs & {
    readonly config: Config & { readonly smtpUrl: string; readonly mailFrom: string }
  },
  names: readonly string[],
  subject: MailSubject,
): Promise<Fault | null> {
  const { config, runId, reconciliation, notes, textsFor } = args
  const text = mailText(ofEntities(reconciliation, names), notes, args.isIncomplete)
  const delivery = await beginDelivery(db, subject, runId)
  try {
    await sendMail(config.smtpUrl, {
      ...text,
      messageId: `${subject.resultSha256.slice(0, 32)}.${subject.period}@alma-reconcile`,
      from: config.mailFrom,
      to: subject.recipients.split(','),
      attachments: attachmentsOf(textsFor(names)),
    })
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    await endDelivery(db, delivery, error.message)
    return error
  }
  await endDelivery(db, delivery, null)
  return null
}

/** What accounting opens: the tables and the page, not what is for machines. */
function attachmentsOf(texts: ReadonlyMap<string, string>) {
  return [...texts]
    .filter(([name]) => name.endsWith('.csv') || name.endsWith('.html'))
    .map(([name, content]) => ({
      name,
      content,
      type: name.endsWith('.csv') ? 'text/csv; charset=utf-8' : 'text/html; charset=utf-8',
    }))
}
