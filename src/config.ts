import { join } from 'node:path'
import { z } from 'zod'
import type { FeeContract } from './domain/fee-contract.ts'
import type { FeeVat, JournalAccounts } from './domain/journal.ts'
import type { Currency } from './domain/money.ts'
import { ConfigurationFault } from './errors.ts'
import { LOG_FORMATS, type LogFormat } from './log-settings.ts'
import {
  createReader,
  type Environment,
  type Reader,
  type ReadOptions,
  type SettingFault,
} from './setting-reader.ts'
import {
  accountNumber,
  bankAccount,
  booksOfAccount,
  cron,
  databaseRole,
  databaseUrl,
  dayText,
  entityList,
  feesSetting,
  journalCode,
  listenHost,
  mailAddress,
  mailSender,
  monitorUrl,
  payerPattern,
  providerKey,
  providerUrl,
  siren,
  smtpUrl,
  splitList,
  splitPatterns,
  timeZone,
  webhookKey,
  wholeNumber,
} from './setting-values.ts'

export { loadEnvironment } from './environment.ts'
export type { Environment, ReadOptions, SettingFault } from './setting-reader.ts'

/** One Alma account. */
export interface EntityConfig {
  readonly name: string
  /** Null when there is none: enough for offline work, exit 3 as soon as the provider is needed. */
  readonly apiKey: string | null
  /** The name of the setting that holds the key, for messages. */
  readonly apiKeySetting: string
  /** Base URL of the provider's API, without a trailing slash; null if there is neither key nor `ALMA_API_URL`. */
  readonly apiUrl: string | null
  /** Own accounts, without blanks, in capitals; empty: every account that no other entity names. */
  readonly ibans: readonly string[]
  /** Case-insensitive regular expressions that mark a bank line as the provider's. */
  readonly payerPatterns: readonly RegExp[]
  readonly payerIbans: readonly string[]
  readonly mailTo: readonly string[]
  readonly fees: FeeContract | null
  /** Whether fees are compared with what the provider's own fee plans say (`"fees": "provider"`). */
  readonly feesOfProvider: boolean
  /** Nine digits that name a French company, for its FEC file; null: not given. */
  readonly siren: string | null
  /** The keys that its webhooks are checked with (`parseWebhookKeys`); null: webhooks are refused. */
  readonly webhookKey: string | null
}

/** How the journal is written; the French defaults are those of the plan comptable. */
interface JournalConfig {
  readonly accounts: JournalAccounts
  /** Accounts of the books by own bank account, where it is not `accounts.bank`. */
  readonly bankAccounts: Readonly<Record<string, string>>
  readonly codes: { readonly ledger: string; readonly bank: string }
}

/** Every setting, read and checked once at the start; frozen. */
export interface Config {
  readonly entities: readonly EntityConfig[]
  /** First day of the first back-fill, as `YYYY-MM-DD`; null: the whole history. */
  readonly ledgerSince: string | null
  /** Null: the embedded Postgres under `dataDir`. */
  readonly databaseUrl: string | null
  /** The role of the database whose rights an assistant's questions have (`mcp`); null: the account's own. */
  readonly mcpDatabaseRole: string | null
  /** Absolute paths. */
  readonly dataDir: string
  readonly bankInbox: string
  /** Folder of the user's own profiles of CSV files; null: there is none. */
  readonly bankProfilesDir: string | null
  readonly reportsDir: string
  readonly smtpUrl: string | null
  readonly mailFrom: string | null
  readonly nightlyCron: string
  /** ISO weekday (1 is Monday) on which a summary is mailed although nothing changed; null: never. */
  readonly mailSummaryWeekday: number | null
  /** Pinged when a night begins, ends well or fails. */
  readonly healthcheckUrl: string | null
  /** Where `listen` waits for the provider's notifications; port 0: any free one. */
  readonly listenHost: string
  readonly listenPort: number
  readonly businessTimeZone: string
  readonly csvDialect: 'iso' | 'fr'
  /** What standard error holds: text for people, or one JSON object a line. */
  readonly logFormat: LogFormat
  /** Absolute path of a file to which JSON lines are added as well; null: there is none. */
  readonly logFile: string | null
  readonly matchWindowDays: number
  readonly lateWindowDays: number
  readonly unpaidAfterDays: number
  readonly exportTimeoutSeconds: number
  /** Names and addresses of customers stay in archived export files; nothing else ever holds them. */
  readonly keepCustomerData: boolean
  readonly journal: JournalConfig
  /** Whether the ledger's fees contain VAT, for entities without a fee contract; null: the exports must show it. */
  readonly feeVat: FeeVat | null
  /** Currency of ledger rows: the provider documents euro cents only. */
  readonly ledgerCurrency: Currency
}

const LIVE_API_URL = 'https://api.getalma.eu'
const SANDBOX_API_URL = 'https://api.sandbox.getalma.eu'

/** The provider's host for a key: live for `sk_live…`, else its sandbox, as its own clients decide. */
export function apiUrlOfKey(key: string): string {
  return key.startsWith('sk_live') ? LIVE_API_URL : SANDBOX_API_URL
}

/**
 * What a command that talks to the provider needs.
 * @throws ConfigurationFault if the entity has no key.
 */
export function requireApiKey(entity: EntityConfig): { apiKey: string; apiUrl: string } {
  const { name, apiKey, apiKeySetting } = entity
  if (apiKey === null) {
    throw new ConfigurationFault(
      `${apiKeySetting} is not set: the provider cannot be asked about the entity "${name}" without its API key`,
      {
        hint: `Put ${apiKeySetting}=sk_live_… (or sk_test_…) into the environment or into .env, or the path of a file that holds the key into ${apiKeySetting}_FILE. The key is in the provider's dashboard. To match what is stored already, use --offline; to try the tool without a key, use npm run demo.`,
      },
    )
  }
  return { apiKey, apiUrl: entity.apiUrl ?? apiUrlOfKey(apiKey) }
}

/**
 * Reads and checks every setting (their list: `.env.example`). Empty text means "not set". A missing
 * provider key is no fault here, see `requireApiKey`.
 * @throws ConfigurationFault that lists all wrong settings at once.
 */
export function readConfig(env: Environment, options: ReadOptions): Config {
  const { config, faults } = inspectConfig(env, options)
  if (faults.length === 0) return config
  const list = faults.map((fault) => `\n  - ${settingFaultText(fault)}`).join('')
  throw new ConfigurationFault(
    `${faults.length === 1 ? 'a setting is' : `${faults.length} settings are`} wrong:${list}`,
    { hint: 'Correct them in the environment or in .env; .env.example explains each setting.' },
  )
}

/** One wrong setting as one line. */
export function settingFaultText({ setting, found, expected }: SettingFault): string {
  return `${setting}: found ${found}, expected ${expected}`
}

/**
 * The settings and what is wrong with them. A wrong setting stands at its default in `config`, so
 * with faults it serves to look around, never to work on.
 */
export function inspectConfig(
  env: Environment,
  options: ReadOptions,
): { config: Config; faults: readonly SettingFault[] } {
  const read = createReader(env, options)
  const dataDir = read.path('DATA_DIR', 'var')
  const matchWindowDays = read.value('MATCH_WINDOW_DAYS', wholeNumber(0, 60), 5)
  const config: Config = {
    entities: readEntities(read),
    ledgerSince: read.value('LEDGER_SINCE', dayText, null),
    databaseUrl: read.secret('DATABASE_URL', databaseUrl),
    mcpDatabaseRole: read.value('MCP_DATABASE_ROLE', databaseRole, null),
    dataDir,
    bankInbox: read.path('BANK_INBOX', 'inbox'),
    bankProfilesDir: read.isSet('BANK_PROFILES_DIR') ? read.path('BANK_PROFILES_DIR', '') : null,
    reportsDir: read.path('REPORTS_DIR', join(dataDir, 'reports')),
    smtpUrl: read.secret('SMTP_URL', smtpUrl),
    mailFrom: read.value('MAIL_FROM', mailSender, null),
    nightlyCron: read.value('NIGHTLY_CRON', cron, '30 5 * * *'),
    mailSummaryWeekday: read.value('MAIL_SUMMARY_WEEKDAY', wholeNumber(1, 7), null),
    healthcheckUrl: read.secret('HEALTHCHECK_URL', monitorUrl),
    listenHost: read.value('LISTEN_HOST', listenHost, '127.0.0.1'),
    listenPort: read.value('LISTEN_PORT', wholeNumber(0, 65_535), 8787),
    businessTimeZone: read.value('BUSINESS_TIME_ZONE', timeZone, 'Europe/Paris'),
    csvDialect: read.value('CSV_DIALECT', z.enum(['iso', 'fr'], 'iso or fr'), 'iso'),
    logFormat: read.value('LOG_FORMAT', z.enum(LOG_FORMATS, LOG_FORMATS.join(' or ')), 'text'),
    logFile: read.isSet('LOG_FILE') ? read.path('LOG_FILE', '') : null,
    matchWindowDays,
    lateWindowDays: read.value('LATE_WINDOW_DAYS', wholeNumber(0, 250), 20),
    unpaidAfterDays: read.value('UNPAID_AFTER_DAYS', wholeNumber(0, 250), 10),
    exportTimeoutSeconds: read.value('EXPORT_TIMEOUT_SECONDS', wholeNumber(1, 86_400), 600),
    keepCustomerData:
      read.value('KEEP_CUSTOMER_DATA', z.enum(['yes', 'no'], 'yes or no'), 'no') === 'yes',
    journal: readJournal(read),
    feeVat: read.value(
      'FEE_VAT',
      z.enum(
        ['included', 'excluded'],
        'included or excluded, or nothing where the exports show it',
      ),
      null,
    ),
    ledgerCurrency: 'EUR',
  }
  checkTogether(config, read)
  return { config: deepFreeze(config), faults: read.faults }
}

function readJournal(read: Reader): JournalConfig {
  const account = (name: string, whenUnset: string): string =>
    read.value(`JOURNAL_ACCOUNT_${name}`, accountNumber, whenUnset)
  return {
    accounts: {
      bank: account('BANK', '512'),
      transit: account('TRANSIT', '511'),
      provider: account('PROVIDER', '467'),
      fees: account('FEES', '627'),
      vat: account('VAT', '44566'),
      customers: account('CUSTOMERS', '411'),
      suspense: account('SUSPENSE', '471'),
    },
    bankAccounts: readBankAccounts(read),
    codes: {
      ledger: read.value('JOURNAL_CODE', journalCode, 'ALM'),
      bank: read.value('JOURNAL_CODE_BANK', journalCode, 'BQ'),
    },
  }
}

function readBankAccounts(read: Reader): Readonly<Record<string, string>> {
  const listed = read.list('JOURNAL_BANK_ACCOUNTS', booksOfAccount, splitList)
  const twice = listed.find(([account], at) => listed.findIndex(([one]) => one === account) < at)
  if (twice !== undefined) {
    read.fault({
      setting: 'JOURNAL_BANK_ACCOUNTS',
      found: `the account ${twice[0]} twice`,
      expected: 'each bank account once',
    })
  }
  return Object.fromEntries(listed)
}

/** What only holds between settings. */
function checkTogether(config: Config, read: Reader): void {
  const { provider, ...others } = config.journal.accounts
  const banks = Object.values(config.journal.bankAccounts)
  if ([...Object.values(others), ...banks].includes(provider)) {
    read.fault({
      setting: 'JOURNAL_ACCOUNT_PROVIDER',
      found: provider,
      expected: 'an account of its own, because its balance is what Alma owes',
    })
  }
  if (config.lateWindowDays < config.matchWindowDays) {
    read.fault({
      setting: 'LATE_WINDOW_DAYS',
      found: String(config.lateWindowDays),
      expected: `at least MATCH_WINDOW_DAYS, which is ${config.matchWindowDays}`,
    })
  }
  if (config.smtpUrl === null) return
  if (!read.isSet('MAIL_FROM')) {
    read.fault({
      setting: 'MAIL_FROM',
      found: 'nothing',
      expected: 'the sender of the mails, because SMTP_URL is set',
    })
  }
  if (!read.isSet('MAIL_TO') && config.entities.every(({ mailTo }) => mailTo.length === 0)) {
    read.fault({
      setting: 'MAIL_TO',
      found: 'nothing',
      expected: 'at least one recipient, because SMTP_URL is set',
    })
  }
}

/** What the entities of a file take over where they say nothing themselves. */
interface EntityDefaults {
  readonly apiUrl: string | null
  readonly payerPatterns: readonly RegExp[]
  readonly mailTo: readonly string[]
  readonly webhookKey: string | null
}

function readEntities(read: Reader): EntityConfig[] {
  const patterns = read.list('ALMA_PAYER_PATTERNS', payerPattern, splitPatterns)
  const defaults: EntityDefaults = {
    apiUrl: read.value('ALMA_API_URL', providerUrl, null),
    payerPatterns: patterns.length > 0 ? patterns : [/\bALMA\b/iu],
    mailTo: read.list('MAIL_TO', mailAddress, splitList),
    webhookKey: read.secret('WEBHOOK_KEY', webhookKey),
  }
  return readEntitiesFile(read, defaults) ?? [readOnlyEntity(read, defaults)]
}

/** The one entity of the environment. */
function readOnlyEntity(read: Reader, defaults: EntityDefaults): EntityConfig {
  const key = read.secret('ALMA_API_KEY', providerKey)
  return {
    name: 'default',
    apiKey: key,
    apiKeySetting: 'ALMA_API_KEY',
    apiUrl: defaults.apiUrl ?? (key === null ? null : apiUrlOfKey(key)),
    ibans: read.list('ALMA_IBANS', bankAccount, splitList),
    payerPatterns: defaults.payerPatterns,
    payerIbans: [],
    mailTo: defaults.mailTo,
    ...feesOf(read.json('FEES_FILE', feesSetting)),
    siren: read.value('SIREN', siren, null),
    webhookKey: defaults.webhookKey,
  }
}

function readEntitiesFile(read: Reader, defaults: EntityDefaults): EntityConfig[] | null {
  const listed = read.json('ENTITIES_FILE', entityList)
  if (listed === null) return null
  const entities = listed.map((entity): EntityConfig => {
    const { apiKeyEnv, webhookKeyEnv, payerPatterns, mailTo, fees, ...own } = entity
    const key = read.secret(apiKeyEnv, providerKey)
    return {
      ...own,
      ...feesOf(fees),
      apiKey: key,
      apiKeySetting: apiKeyEnv,
      apiUrl: defaults.apiUrl ?? (key === null ? null : apiUrlOfKey(key)),
      payerPatterns: payerPatterns.length > 0 ? payerPatterns : defaults.payerPatterns,
      mailTo: mailTo.length > 0 ? mailTo : defaults.mailTo,
      webhookKey:
        webhookKeyEnv === null ? defaults.webhookKey : read.secret(webhookKeyEnv, webhookKey),
    }
  })
  checkEntitiesApart(entities, (found, expected) =>
    read.fault({ setting: 'ENTITIES_FILE', found, expected }),
  )
  return entities
}

function feesOf(
  fees: FeeContract | 'provider' | null,
): Pick<EntityConfig, 'fees' | 'feesOfProvider'> {
  return fees === 'provider'
    ? { fees: null, feesOfProvider: true }
    : { fees, feesOfProvider: false }
}

/** Two entities that share a name, a key or an account would count the same money twice. */
function checkEntitiesApart(
  entities: readonly EntityConfig[],
  fault: (found: string, expected: string) => void,
): void {
  const unique = (
    what: string,
    valuesOf: (entity: EntityConfig) => readonly (string | null)[],
    expected: string,
    show: (value: string) => string,
  ): void => {
    const owners = new Map<string, string>()
    for (const entity of entities) {
      for (const value of valuesOf(entity)) {
        const owner = value === null ? undefined : owners.get(value)
        if (value === null) continue
        if (owner !== undefined) {
          fault(`${what}${show(value)} at "${owner}" and at "${entity.name}"`, expected)
        }
        owners.set(value, entity.name)
      }
    }
  }
  unique(
    'the name ',
    ({ name }) => [name.toLowerCase()],
    'a name of its own for each entity',
    (name) => `"${name}"`,
  )
  unique(
    'the same API key',
    ({ apiKey }) => [apiKey],
    'one key for each entity, because a key belongs to one account of the provider',
    () => '',
  )
  unique('the account ', ({ ibans }) => ibans, 'each account at one entity only', String)
  const withoutIbans = entities.filter(({ ibans }) => ibans.length === 0)
  if (withoutIbans.length > 1) {
    fault(
      `no "ibans" at ${withoutIbans.map(({ name }) => `"${name}"`).join(' and ')}`,
      '"ibans" at every entity but one, or it cannot be told whose account a bank line stands on',
    )
  }
  for (const { name, ibans, payerIbans } of entities) {
    for (const iban of ibans.filter((own) => payerIbans.includes(own))) {
      fault(
        `the account ${iban} both as own account and as payer of "${name}"`,
        'accounts of the provider in "payerIbans"',
      )
    }
  }
}

/** Freezes plain objects and lists all the way down; patterns keep their inner state. */
function deepFreeze<T>(value: T): T {
  if (value === null || typeof value !== 'object' || value instanceof RegExp) return value
  for (const member of Object.values(value)) deepFreeze(member)
  return Object.freeze(value)
}
