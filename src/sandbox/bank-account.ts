import { type Day, parseDay, weekday } from '../domain/day.ts'
import { addBusinessDays, businessDaysBetween, isBusinessDay } from '../domain/target-calendar.ts'
import { type Chance, chanceOf } from './chance.ts'
import { daysOf, type LedgerPayout } from './ledger.ts'
import type { BankLine, SandboxBankAccount } from './model.ts'
import { frenchIban } from './iban.ts'

const PROVIDER_IBAN = frenchIban('30004', '00813', '00010112244')

/** Statements go on for so many business days after the last payout, past every matching window. */
const DAYS_AFTER_LAST_PAYOUT = 8

export interface BankAccountOptions {
  seed: number
  name: string
  iban: string
  from: Day
  to: Day
  /** Share of the provider's lines that name no payout. */
  unreferencedShare: number
  /** Share of the payouts whose money comes in one line with the next one's. */
  mergedShare: number
  /** Share of the payouts whose money comes in several lines. */
  splitShare: number
  payouts: readonly LedgerPayout[]
}

/** The merchant's account: the provider's transfers one or two business days after the payout, among all else. */
export function createBankAccount(options: BankAccountOptions): SandboxBankAccount {
  const { iban, from, to, payouts } = options
  const chance = chanceOf(`${options.seed}/${options.name}/bank`)
  const lastPayout = payouts.at(-1)?.day ?? to
  const lastDay = addBusinessDays(lastPayout > to ? lastPayout : to, DAYS_AFTER_LAST_PAYOUT)
  const business = otherBusiness(options, chance, lastDay)
  const single = payouts.map((payout, index) => {
    const bookingDay = addBusinessDays(payout.day, chance.happens(0.7) ? 1 : 2)
    return { payout, line: depositLine(options, chance, payout, bookingDay, index + 1) }
  })
  const deposits = mergedOrSplit(options, single)
  const account: SandboxBankAccount = {
    iban,
    openingMinor: 4_821_055,
    openingDay: from,
    lastDay,
    lines: [],
  }
  for (const booked of inBookingOrder(chance, [...deposits, ...business])) {
    insertLine(account, booked)
  }
  return account
}

/** Books a line on its day, behind the day's others, under a bank reference of its own. */
export function insertLine(account: SandboxBankAccount, line: BankLine): void {
  const { lines } = account
  let at = lines.length
  while (at > 0 && (lines[at - 1]?.bookingDay ?? '') > line.bookingDay) at -= 1
  const stem = line.bookingDay.replaceAll('-', '') + account.iban.slice(-6, -2)
  const taken = new Set<string>()
  for (let back = at - 1; back >= 0 && lines[back]?.bookingDay === line.bookingDay; back -= 1) {
    taken.add(lines[back]?.bankReference ?? '')
  }
  let number = taken.size + 1
  while (taken.has(stem + String(number).padStart(4, '0'))) number += 1
  line.bankReference = stem + String(number).padStart(4, '0')
  lines.splice(at, 0, line)
}

export function plainLine(
  iban: string,
  day: Day,
  amountMinor: number,
  counterpartyName: string,
  remittance: string,
): BankLine {
  return {
    iban,
    bookingDay: day,
    valueDay: day,
    amountMinor,
    currency: 'EUR',
    counterpartyName,
    counterpartyIban: '',
    remittance,
    endToEndId: '',
    bankReference: '',
  }
}

/** A transfer of the provider as banks show it: the payout's id whole, cut, in capitals, or not at all. */
function depositLine(
  options: BankAccountOptions,
  chance: Chance,
  payout: LedgerPayout,
  bookingDay: Day,
  number: number,
): BankLine {
  const unreferenced = chance.happens(options.unreferencedShare) || payout.unnamed === true
  const style = chance.one(['whole', 'whole', 'whole', 'capitals', 'cut', 'broken'] as const)
  const remittance = unreferenced
    ? chance.one(['ALMA REVERSEMENT', 'VIR SEPA ALMA PAIEMENT EN PLUSIEURS FOIS'])
    : payoutReference(payout.id, style, chance.whole(12, 24))
  const deposit = plainLine(options.iban, bookingDay, payout.amount, 'ALMA', remittance)
  deposit.payoutId = payout.id
  if (chance.happens(0.3)) deposit.counterpartyName = 'ALMA SAS'
  // Most French banks keep the payer's account to themselves.
  if (chance.happens(0.25)) deposit.counterpartyIban = PROVIDER_IBAN
  if (chance.happens(0.4)) deposit.endToEndId = `ALMA-VIR-${String(number).padStart(6, '0')}`
  if (payout.amount < 0) deposit.remittance = `PRLV SEPA ${deposit.remittance}`
  return deposit
}

interface SingleDeposit {
  payout: LedgerPayout
  line: BankLine
}

/** Some neighbours in one line, some payouts in several; all others as they are. */
function mergedOrSplit(options: BankAccountOptions, single: readonly SingleDeposit[]): BankLine[] {
  const chance = chanceOf(`${options.seed}/${options.name}/together`)
  const lines: BankLine[] = []
  for (let at = 0; at < single.length; at += 1) {
    const first = single[at]
    if (first === undefined) continue
    if (chance.happens(options.mergedShare)) {
      const run = single.slice(at, at + chance.whole(2, 4))
      if (canMerge(run)) {
        lines.push(mergedLine(chance, run))
        at += run.length - 1
        continue
      }
    }
    if (chance.happens(options.splitShare) && canSplit(first)) {
      lines.push(...splitLines(chance, first))
    } else {
      lines.push(first.line)
    }
  }
  return lines
}

/** All of them still within five business days of the first, and none that must stay by itself. */
function canMerge(run: readonly SingleDeposit[]): boolean {
  const [first, last] = [run[0], run.at(-1)]
  if (first === undefined || last === undefined || run.length < 2) return false
  const total = run.reduce((sum, { payout }) => sum + payout.amount, 0)
  const lag = businessDaysBetween(first.payout.day, addBusinessDays(last.payout.day, 1))
  return total > 0 && lag <= 5 && run.every(({ payout }) => payout.unnamed !== true)
}

function mergedLine(chance: Chance, run: readonly SingleDeposit[]): BankLine {
  const ids = run.map(({ payout }) => payout.id)
  const [first, last] = [run[0], run.at(-1)]
  if (first === undefined || last === undefined) throw new Error('there is nothing to merge')
  const day = addBusinessDays(last.payout.day, 1)
  const remittance = chance.one([
    'ALMA REVERSEMENT',
    'VIR SEPA ALMA CUMUL',
    `ALMA ${ids[0]}`,
    `ALMA ${ids.join(' ')}`,
  ])
  const amount = run.reduce((sum, { payout }) => sum + payout.amount, 0)
  return { ...plainLine(first.line.iban, day, amount, 'ALMA', remittance), partOf: ids }
}

const SPLIT_AMOUNT_MIN = 40_000

function canSplit({ payout }: SingleDeposit): boolean {
  return payout.amount >= SPLIT_AMOUNT_MIN && payout.unnamed !== true
}

/** On one day without any name, or over two days with the payout's name on each part. */
function splitLines(chance: Chance, { payout, line }: SingleDeposit): BankLine[] {
  const part = Math.floor((payout.amount * chance.whole(300, 700)) / 1000)
  const isNamed = chance.happens(0.6)
  const remittance = isNamed ? `ALMA ${payout.id}` : 'ALMA REVERSEMENT'
  const days = [parseDay(line.bookingDay), addBusinessDays(parseDay(line.bookingDay), 1)]
  return [part, payout.amount - part].map((amount, at) => ({
    ...plainLine(line.iban, days[isNamed ? at : 0] ?? payout.day, amount, 'ALMA', remittance),
    partOf: [payout.id],
  }))
}

function payoutReference(
  payoutId: string,
  style: 'whole' | 'capitals' | 'cut' | 'broken',
  cutTo: number,
): string {
  const own = payoutId.slice('payout_'.length)
  return {
    whole: `ALMA ${payoutId}`,
    capitals: `VIREMENT SEPA ALMA ${payoutId.toUpperCase()}`,
    cut: `ALMA PAYOUT ${own.slice(0, cutTo).toUpperCase()}`,
    broken: `VIR RECU ALMA REF ${payoutId.slice(0, 17)}\n${payoutId.slice(17)}`,
  }[style]
}

/** By day, and within a day as chance has it. */
function inBookingOrder(chance: Chance, lines: readonly BankLine[]): BankLine[] {
  return lines
    .map((booked) => ({ booked, rank: `${booked.bookingDay} ${chance.base62(8)}` }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ booked }) => booked)
}

const SUPPLIERS = ['PAPETERIES DU RHONE', 'TRANSPORTS VIDAL', 'OVHCLOUD', 'EDF ENTREPRISES']

/** Everything on the account that is not the provider's, two firms with look-alike names among it. */
function otherBusiness(options: BankAccountOptions, chance: Chance, lastDay: Day): BankLine[] {
  const { iban } = options
  const lines: BankLine[] = []
  const add = (day: Day, amountMinor: number, name: string, remittance: string): void => {
    lines.push(plainLine(iban, day, amountMinor, name, remittance))
  }
  const days = daysOf(options.from, lastDay).filter(isBusinessDay)
  const monthOf = (day: Day | undefined): string => (day ?? '').slice(0, 7)
  days.forEach((day, index) => {
    const shortDay = `${day.slice(8)}${day.slice(5, 7)}`
    add(
      day,
      chance.whole(90_000, 420_000),
      'MONEXT ACQUISITION',
      `REMISE CB ${shortDay} CONTRAT 4512345`,
    )
    for (const supplier of SUPPLIERS) {
      if (!chance.happens(0.22)) continue
      add(day, -chance.whole(4_000, 190_000), supplier, `FACTURE ${String(chance.whole(1e4, 9e4))}`)
    }
    if (weekday(day) === 2) {
      add(day, -chance.whole(1_500, 9_900), 'ALMAZ SARL', `ALMAZ SARL FACT ${shortDay}`)
    }
    if (weekday(day) === 4) {
      add(day, chance.whole(20_000, 90_000), 'PALMA HOTELS', `PALMA HOTELS GROUPE ${shortDay}`)
    }
    if (monthOf(day) !== monthOf(days[index - 1])) {
      add(day, -245_000, 'SCI DES LICES', `LOYER ${day.slice(5, 7)}/${day.slice(0, 4)}`)
    }
    if (monthOf(day) !== monthOf(days[index + 1])) {
      add(day, -chance.whole(900_000, 1_100_000), 'SALAIRES', `VIREMENT SALAIRES ${monthOf(day)}`)
      add(day, -1_890, 'BANQUE', `COTISATION COMPTE ${monthOf(day)}`)
    }
  })
  // Two traps: a look-alike credits exactly what a payout paid, and another the day after one.
  for (const payout of [
    options.payouts[Math.floor(options.payouts.length * 0.3)],
    options.payouts[Math.floor(options.payouts.length * 0.6)],
  ]) {
    if (payout === undefined || payout.amount <= 0) continue
    const day = addBusinessDays(payout.day, 1)
    add(day, payout.amount, 'PALMA HOTELS', 'PALMA HOTELS ACOMPTE SEMINAIRE')
  }
  return lines
}
