/** Sends the report of a period to those who want it: the same result once, a failure again later. */
import { createHash } from 'node:crypto'
import type { Db } from '../db/client.ts'
import { beginDelivery, endDelivery, type MailSubject, wasSent } from '../db/mail-deliveries.ts'
import { findLastMailedReport } from '../db/mailed-reports.ts'
import type { LastMail } from '../reports/changes.ts'
import { mailText } from '../reports/mail.ts'
import type { ReportText } from '../reports/text.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { groupBy } from '../src/domain/collections.ts'
import type { Reconciliation } from '../src/domain/reconciliation.ts'
import { Fault } from '../src/errors.ts'
import { sendMail } from '../src/mail/mailer.ts'
import type { Progress } from '../src/progress.ts'

/** What decides whether a result is the same as one that was mailed. */
interface ResultArgs {
  readonly reconciliation: Reconciliation
  /** What a reader must know of the report, each as a sentence. */
  readonly notes: readonly string[]
  /** The entities that the report is about. */
  readonly entities: readonly EntityConfig[]
  /** Mail although nothing changed since the last one, as a summary of this day; null: only changes. */
  readonly summaryOf: string | null
}

export interface SendMailArgs extends ResultArgs {
  readonly config: Config
  readonly runId: number
  /** Whether the report had to do without something. */
  readonly isIncomplete: boolean
  /** Entities of which there is no report, with the reason: who answers for them must hear of it. */
  readonly absent: readonly { readonly entity: EntityConfig; readonly note: string }[]
  /** The report's files for some of the entities, by name: nobody is sent another entity's rows. */
  readonly textsFor: (entities: readonly string[]) => Promise<ReadonlyMap<string, ReportText>>
  /** From `lastMailsOf`. */
  readonly lastMails: readonly LastMail[]
}

/** Entities by their recipients: addresses in order, joined by a comma; nobody is an empty text. */
function byRecipients(entities: readonly EntityConfig[]): Map<string, EntityConfig[]> {
  return groupBy(entities, ({ mailTo }) => [...mailTo].toSorted().join(','))
}

/** What each set of recipients was told last of the period, other than this very result. */
export async function lastMailsOf(db: Db, args: ResultArgs): Promise<LastMail[]> {
  const lastMails: LastMail[] = []
  for (const [recipients, group] of byRecipients(args.entities)) {
    const names = group.map(({ name }) => name)
    const subject = subjectFor(ofEntities(args.reconciliation, names), recipients, args)
    const last = await findLastMailedReport(db, subject, names)
    lastMails.push({
      asOf: last?.asOf ?? null,
      entities: names,
      discrepancies: last?.discrepancies ?? [],
    })
  }
  return lastMails
}

/** @returns the faults for which mails are still to be sent; nothing is thrown for them. */
export async function mailReports(
  db: Db,
  args: SendMailArgs,
  progress: Progress,
): Promise<Fault[]> {
  const { config, reconciliation, entities, absent } = args
  const { smtpUrl, mailFrom } = config
  if (smtpUrl === null || mailFrom === null) {
    progress.note('SMTP_URL is not set: nothing is mailed')
    return []
  }
  const faults: Fault[] = []
  const all = [...entities, ...absent.map(({ entity }) => entity)]
  for (const [recipients, group] of byRecipients(all)) {
    if (recipients === '') {
      progress.note(
        `nobody is to be mailed about ${group.map(({ name }) => name).join(', ')} (MAIL_TO)`,
        'warn',
      )
      continue
    }
    const names = group.filter((entity) => entities.includes(entity)).map(({ name }) => name)
    const own = names.length > 0 ? args : aboutAbsent(args, group)
    const subject = subjectFor(ofEntities(reconciliation, names), recipients, own)
    if (await wasSent(db, subject)) {
      progress.note(`mail of ${subject.period}: nothing new since the last one`)
      continue
    }
    const fault = await deliver(
      db,
      { ...own, config: { ...config, smtpUrl, mailFrom } },
      names,
      subject,
    )
    if (fault === null) progress.note(`mail of ${subject.period} sent`)
    else faults.push(fault)
  }
  return faults
}

/** For who is told of absent entities only: why they are absent, and nothing of anybody else's. */
function aboutAbsent(args: SendMailArgs, group: readonly EntityConfig[]): SendMailArgs {
  const notes = args.absent.filter(({ entity }) => group.includes(entity)).map(({ note }) => note)
  return { ...args, notes, isIncomplete: true, textsFor: () => Promise.resolve(new Map()) }
}

/** The part of a reconciliation that is about some entities. */
export function ofEntities(
  reconciliation: Reconciliation,
  names: readonly string[],
): Reconciliation {
  const isTheirs = ({ entity }: { readonly entity: string }): boolean => names.includes(entity)
  const { plans } = reconciliation
  return {
    ...reconciliation,
    discrepancies: reconciliation.discrepancies.filter(isTheirs),
    settlements: reconciliation.settlements.filter(isTheirs),
    refunds: reconciliation.refunds.filter(isTheirs),
    openItems: reconciliation.openItems.filter(isTheirs),
    summary: reconciliation.summary.filter(isTheirs),
    matches: reconciliation.matches.filter(isTheirs),
    ...(plans === undefined
      ? {}
      : {
          plans: {
            rows: plans.rows.filter(isTheirs),
            stops: plans.stops.filter(isTheirs),
            remarks: plans.remarks.filter(isTheirs),
          },
        }),
  }
}

/** What makes a result: its discrepancies and what is missing, not the day on which it was looked at. */
function subjectFor(
  { period, discrepancies, plans }: Reconciliation,
  recipients: string,
  { notes, summaryOf }: Pick<ResultArgs, 'notes' | 'summaryOf'>,
): MailSubject {
  const stops = plans?.stops ?? []
  const result = {
    ...(stops.length === 0 ? {} : { stops }),
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
  const { config, runId, reconciliation, notes, textsFor, lastMails } = args
  const lastMail = lastMails.find(({ entities }) => entities.some((name) => names.includes(name)))
  const text = mailText(
    ofEntities(reconciliation, names),
    notes,
    args.isIncomplete,
    lastMail ?? null,
  )
  const delivery = await beginDelivery(db, subject, runId)
  try {
    await sendMail(config.smtpUrl, {
      ...text,
      messageId: messageIdOf(subject),
      from: config.mailFrom,
      to: subject.recipients.split(','),
      attachments: attachmentsOf(await textsFor(names)),
    })
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    await endDelivery(db, delivery, error.message)
    return error
  }
  await endDelivery(db, delivery, null)
  return null
}

/** The same for a mail that is sent again, another for each set of recipients: their files differ. */
function messageIdOf({ period, recipients, resultSha256 }: MailSubject): string {
  const hash = createHash('sha256').update(`${resultSha256} ${recipients}`).digest('hex')
  return `${hash.slice(0, 32)}.${period}@alma-reconcile`
}

/** What accounting opens: the tables and the page, not what is for machines. */
function attachmentsOf(texts: ReadonlyMap<string, ReportText>) {
  return [...texts]
    .filter(([name]) => name.endsWith('.csv') || name.endsWith('.html'))
    .map(([name, content]) => ({
      name,
      content,
      type: name.endsWith('.csv') ? 'text/csv; charset=utf-8' : 'text/html; charset=utf-8',
    }))
}
