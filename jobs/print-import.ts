/** What an import of bank files did, for people and for machines. */
import { jsonText } from '../reports/summary-json.ts'
import { formatAmount } from '../src/domain/money.ts'
import type { BankImport, ImportedBankFile } from './import-bank.ts'

export function importText(imported: BankImport, dryRun: boolean): string {
  const lines = imported.files.map(fileLine)
  for (const { name, fault } of imported.rejected) {
    lines.push(`${name}: rejected, nothing of it was taken. ${fault.message}`)
    if (fault.hint !== undefined) lines.push(`  → ${fault.hint}`)
  }
  const { alreadyKnown } = imported
  if (alreadyKnown > 0) {
    lines.push(
      alreadyKnown === 1
        ? '1 file was known already.'
        : `${alreadyKnown} files were known already.`,
    )
  }
  if (dryRun) lines.push('Dry run: nothing was stored.')
  return lines.map((line) => `${line}\n`).join('')
}

function fileLine(file: ImportedBankFile): string {
  const format = [file.format, file.formatVersion].filter((part) => part !== null).join(' ')
  const days = file.fromDay === file.toDay ? file.fromDay : `${file.fromDay} to ${file.toDay}`
  return `${file.name}: ${format}, ${file.accounts.join(', ')}, ${days}, ${file.entries} ${file.entries === 1 ? 'entry' : 'entries'} (${file.newEntries} new, ${file.duplicates} known, ${file.suspected} suspected duplicates), balances ${file.balanceState}`
}

export function importJson(imported: BankImport): string {
  return jsonText({
    files: imported.files.map((file) => ({
      name: file.name,
      sha256: file.sha256,
      format: file.format,
      format_version: file.formatVersion,
      accounts: file.accounts,
      from_day: file.fromDay,
      to_day: file.toDay,
      entries: file.entries,
      new_entries: file.newEntries,
      duplicates: file.duplicates,
      suspected: file.suspected,
      balance_state: file.balanceState,
    })),
    rejected: imported.rejected.map(({ name, fault }) => ({
      name,
      message: fault.message,
      hint: fault.hint ?? null,
    })),
    already_known: imported.alreadyKnown,
    suspected: imported.suspected.map((one) => ({
      file: one.file,
      place: one.place,
      account: one.account,
      day: one.day,
      amount: formatAmount(one.amountMinor, one.currency),
      currency: one.currency,
      earlier_file: one.earlierFile,
    })),
  })
}
