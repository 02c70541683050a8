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
import { type Note, notesAbout, textsOf } from '../src/domain/note.ts'
import type { Reconciliation } from '../src/domain/reconciliation.ts'
import { Fault } from '../src/errors.ts'
import { sendMail } from '../src/mail/mailer.ts'
import type { Progress } from '../src/progress.ts'

/** An entity of which there is no report, and why: who answers for it must hear of it. */
export interface AbsentEntity {
  readonly entity: EntityConfig
  readonly note: Note
}

/** What decides whether a result is the same as one that was mailed. */
interface ResultArgs {
  readonly reconciliation: Reconciliation
  /** What a reader must know of the report, but for what its plans say. */
  readonly notes: readonly Note[]
  /** Those of the notes that tell what the report had to do without. */
  readonly lacks: readonly Note[]
  /** The entities that the report is about. */
  readonly entities: readonly EntityConfig[]
  readonly absent: readonly AbsentEntity[]
  /** Mail although nothing changed since the last one, as a summary of this day; null: only changes. */
  readonly summaryOf: string | null
}

export interface SendMailArgs extends ResultArgs {
  readonly config: Config
  readonly runId: number
  /** The report's files for some of the entities, by name: nobody is sent another entity's rows. */
  readonly textsFor: (entities: readonly string[]) => Promise<ReadonlyMap<string, ReportText>>
  /** From `lastMailsOf`. */
  readonly lastMails: readonly LastMail[]
}

/** Who is sent one mail, and the part of the result that is theirs. */
interface Audience {
  /** Addresses in order, joined by a comma; nobody is an empty text. */
  readonly recipients: string
  /** The entities that they answer for. */
  readonly answersFor: readonly string[]
  /** Those of them that the report is about. */
  readonly names: readonly string[]
  readonly reconciliation: Reconciliation
  /** What they must know, each as a sentence. */
  readonly notes: readonly string[]
  /** Whether the report of their entities had to do without something. */
  readonly isIncomplete: boolean
  readonly subject: MailSubject
}

function audiencesOf(args: ResultArgs): Audience[] {
  const { reconciliation, entities, absent, notes, lacks, summaryOf } = args
  const all = [...entities, ...absent.map(({ entity }) => entity)]
  const byRecipients = groupBy(all, ({ mailTo }) => [...mailTo].toSorted().join(','))
  return [...byRecipients].map(([recipients, group]) => {
    const answersFor = group.map(({ name }) => name)
    const names = group.filter((entity) => entities.includes(entity)).map(({ name }) => name)
    // Who is told of absent entities only hears why they are absent, and nothing of anybody else's.
    const toKnow =
      names.length > 0
        ? notesAbout(notes, answersFor)
        : absent.filter(({ entity }) => group.includes(entity)).map(({ note }) => note)
    const own = { reconciliation: ofEntities(reconciliation, names), notes: textsOf(toKnow) }
    return {
      ...own,
      recipients,
      answersFor,
      names,
      isIncomplete: names.length === 0 || notesAbout(lacks, answersFor).length > 0,
      subject: subjectFor(own, recipients, summaryOf),
    }
  })
}

/** What each set of recipients was told last of the period, other than this very result. */
export async function lastMailsOf(db: Db, args: ResultArgs): Promise<LastMail[]> {
  const lastMails: LastMail[] = []
  for (const { names, subject } of audiencesOf(args)) {
    if (names.length === 0) continue
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
  const { config } = args
  const { smtpUrl, mailFrom } = config
  if (smtpUrl === null || mailFrom === null) {
    progress.note('SMTP_URL is not set: nothing is mailed')
    return []
  }
  const faults: Fault[] = []
  for (const audience of audiencesOf(args)) {
    const { recipients, answersFor, subject } = audience
    if (recipients === '') {
      progress.note(`nobody is to be mailed about ${answersFor.join(', ')} (MAIL_TO)`, 'warn')
      continue
    }
    if (await wasSent(db, subject)) {
      progress.note(`mail of ${subject.period}: nothing new since the last one`)
      continue
    }
    const fault = await deliver(db, { ...args, config: { ...config, smtpUrl, mailFrom } }, audience)
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
  { reconciliation, notes }: Pick<Audience, 'reconciliation' | 'notes'>,
  recipients: string,
  summaryOf: string | null,
): MailSubject {
  const { period, discrepancies, plans } = reconciliation
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
  {
    config,
    runId,
    textsFor,
    lastMails,
  }: SendMailArgs & {
    readonly config: Config & { readonly smtpUrl: string; readonly mailFrom: string }
  },
  { names, reconciliation, notes, isIncomplete, subject }: Audience,
): Promise<Fault | null> {
  const lastMail = lastMails.find(({ entities }) => entities.some((name) => names.includes(name)))
  const text = mailText(reconciliation, notes, isIncomplete, lastMail ?? null)
  const delivery = await beginDelivery(db, subject, runId)
  try {
    await sendMail(config.smtpUrl, {
      ...text,
      messageId: messageIdOf(subject),
      from: config.mailFrom,
      to: subject.recipients.split(','),
      attachments: attachmentsOf(names.length === 0 ? new Map() : await textsFor(names)),
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
