import type { Config, Environment } from './config.ts'
import { hasValidCheckDigits } from './setting-values.ts'

/** Every setting that is no name of a person's choosing (those stand in `apiKeyEnv`). */
export const SETTING_NAMES = [
  'ALMA_API_KEY',
  'ALMA_API_KEY_FILE',
  'ALMA_API_URL',
  'ENTITIES_FILE',
  'FEES_FILE',
  'ALMA_IBANS',
  'ALMA_PAYER_PATTERNS',
  'LEDGER_SINCE',
  'DATABASE_URL',
  'DATABASE_URL_FILE',
  'MCP_DATABASE_ROLE',
  'DATA_DIR',
  'BANK_INBOX',
  'BANK_PROFILES_DIR',
  'REPORTS_DIR',
  'SMTP_URL',
  'SMTP_URL_FILE',
  'MAIL_FROM',
  'MAIL_TO',
  'NIGHTLY_CRON',
  'MAIL_SUMMARY_WEEKDAY',
  'HEALTHCHECK_URL',
  'HEALTHCHECK_URL_FILE',
  'LISTEN_HOST',
  'LISTEN_PORT',
  'WEBHOOK_KEY',
  'WEBHOOK_KEY_FILE',
  'BUSINESS_TIME_ZONE',
  'CSV_DIALECT',
  'MATCH_WINDOW_DAYS',
  'LATE_WINDOW_DAYS',
  'UNPAID_AFTER_DAYS',
  'EXPORT_TIMEOUT_SECONDS',
  'KEEP_CUSTOMER_DATA',
  'LOG_FORMAT',
  'LOG_FILE',
  'JOURNAL_ACCOUNT_BANK',
  'JOURNAL_ACCOUNT_TRANSIT',
  'JOURNAL_ACCOUNT_PROVIDER',
  'JOURNAL_ACCOUNT_FEES',
  'JOURNAL_ACCOUNT_VAT',
  'JOURNAL_ACCOUNT_CUSTOMERS',
  'JOURNAL_ACCOUNT_SUSPENSE',
  'JOURNAL_BANK_ACCOUNTS',
  'JOURNAL_CODE',
  'JOURNAL_CODE_BANK',
  'FEE_VAT',
  'SIREN',
] as const

/** What is allowed but probably not meant, each as a sentence; no secret in any of them. */
export function settingWarnings(env: Environment, config: Config): string[] {
  const isSet = (name: string): boolean => (env[name]?.trim() ?? '') !== ''
  const warnings: string[] = []
  const keySettings = new Set(config.entities.map(({ apiKeySetting }) => apiKeySetting))
  if (isSet('ENTITIES_FILE')) {
    const unused = ['ALMA_API_KEY', 'ALMA_IBANS', 'FEES_FILE', 'SIREN'].filter(
      (name) => isSet(name) && !keySettings.has(name),
    )
    for (const name of unused) {
      warnings.push(`${name} is not used, because ENTITIES_FILE names the entities`)
    }
  }
  for (const { ibans, payerIbans } of config.entities) {
    for (const iban of [...ibans, ...payerIbans].filter((own) => !hasValidCheckDigits(own))) {
      warnings.push(`the check digits of ${iban} do not fit: is there a typing error in it?`)
    }
  }
  for (const iban of Object.keys(config.journal.bankAccounts)) {
    if (!hasValidCheckDigits(iban)) {
      warnings.push(
        `the check digits of ${iban} in JOURNAL_BANK_ACCOUNTS do not fit: is there a typing error in it?`,
      )
    }
  }
  const known = new Set<string>([
    ...SETTING_NAMES,
    ...[...keySettings].flatMap((name) => [name, `${name}_FILE`]),
  ])
  for (const name of Object.keys(env).sort()) {
    if (name.startsWith('ALMA_') && isSet(name) && !known.has(name)) {
      warnings.push(`${name} is no setting of this tool: is there a typing error in its name?`)
    }
  }
  for (const { name, apiKey, apiUrl } of config.entities) {
    if (apiKey?.startsWith('sk_test_') === true && apiUrl === 'https://api.getalma.eu') {
      warnings.push(`the key of "${name}" is a test key, but ALMA_API_URL is the live host`)
    }
    if (apiKey?.startsWith('sk_live_') === true && apiUrl === 'https://api.sandbox.getalma.eu') {
      warnings.push(`the key of "${name}" is a live key, but ALMA_API_URL is the sandbox`)
    }
  }
  return warnings
}
