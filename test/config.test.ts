import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  apiUrlOfKey,
  type Config,
  type EntityConfig,
  loadEnvironment,
  readConfig,
  requireApiKey,
} from '../src/config.ts'
import { ConfigurationFault, EXIT } from '../src/errors.ts'
import { SETTING_NAMES, settingWarnings } from '../src/setting-warnings.ts'

const KEY = 'sk_test_0123456789abcdefghij'
const LIVE_KEY = 'sk_live_0123456789abcdefghij'

function configOf(env: Record<string, string>, files: Record<string, string> = {}): Config {
  return readConfig(env, {
    cwd: '/place',
    readFile: (path) => files[path] ?? null,
  })
}

function faultOf(env: Record<string, string>, files: Record<string, string> = {}): string {
  try {
    configOf(env, files)
  } catch (error) {
    if (!(error instanceof ConfigurationFault)) throw error
    expect(error.exitCode).toBe(EXIT.configuration)
    return error.message
  }
  throw new Error('the settings were accepted')
}

function onlyEntity(config: Config): EntityConfig {
  expect(config.entities).toHaveLength(1)
  const [entity] = config.entities
  if (entity === undefined) throw new Error('no entity')
  return entity
}

test('nothing set: the defaults of the contract', () => {
  const config = configOf({})
  const { entities, ...rest } = config
  expect(rest).toEqual({
    ledgerSince: null,
    databaseUrl: null,
    dataDir: '/place/var',
    bankInbox: '/place/inbox',
    bankProfilesDir: null,
    reportsDir: '/place/var/reports',
    smtpUrl: null,
    mailFrom: null,
    nightlyCron: '30 5 * * *',
    mailSummaryWeekday: null,
    healthcheckUrl: null,
    listenHost: '127.0.0.1',
    listenPort: 8787,
    businessTimeZone: 'Europe/Paris',
    csvDialect: 'iso',
    logFormat: 'text',
    logFile: null,
    matchWindowDays: 5,
    mcpDatabaseRole: null,
    lateWindowDays: 20,
    unpaidAfterDays: 10,
    exportTimeoutSeconds: 600,
    keepCustomerData: false,
    journal: {
      accounts: {
        bank: '512',
        transit: '511',
        provider: '467',
        fees: '627',
        vat: '44566',
        customers: '411',
        suspense: '471',
      },
      bankAccounts: {},
      codes: { ledger: 'ALM', bank: 'BQ' },
    },
    feeVat: null,
    ledgerCurrency: 'EUR',
  })
  expect(entities).toEqual([
    {
      name: 'default',
      apiKey: null,
      apiKeySetting: 'ALMA_API_KEY',
      apiUrl: null,
      ibans: [],
      payerPatterns: [/\bALMA\b/iu],
      payerIbans: [],
      mailTo: [],
      fees: null,
      feesOfProvider: false,
      siren: null,
      webhookKey: null,
    },
  ])
})

test('empty text means "not set", and lists given but empty mean the default', () => {
  const empty = Object.fromEntries(SETTING_NAMES.map((name) => [name, '  ']))
  expect(configOf(empty)).toEqual(configOf({}))
  expect(configOf({ ALMA_IBANS: ' , ', ALMA_PAYER_PATTERNS: ',' })).toEqual(configOf({}))
})

test('every setting given', () => {
  const config = configOf({
    ALMA_API_KEY: KEY,
    ALMA_API_URL: 'http://127.0.0.1:8765/',
    ALMA_IBANS: 'fr76 3000 6000 0112 3456 7890 189, DE89370400440532013000',
    ALMA_PAYER_PATTERNS: String.raw`\bALMA\b, ^ALMA.{0,3}SAS$`,
    LEDGER_SINCE: '2024-01-01',
    DATABASE_URL: 'postgresql://me:secret@db:5433/books',
    DATA_DIR: '/data',
    BANK_INBOX: 'in/bank',
    BANK_PROFILES_DIR: 'profiles',
    SMTP_URL: 'smtps://me:secret@mail:465',
    MAIL_FROM: 'Books <books@example.com>',
    MAIL_TO: 'a@example.com, b@example.com',
    NIGHTLY_CRON: '0 6 * * 1-5',
    BUSINESS_TIME_ZONE: 'Europe/Madrid',
    CSV_DIALECT: 'fr',
    MATCH_WINDOW_DAYS: '3',
    LATE_WINDOW_DAYS: '3',
    UNPAID_AFTER_DAYS: '0',
    EXPORT_TIMEOUT_SECONDS: '60',
    KEEP_CUSTOMER_DATA: 'yes',
  })
  expect(onlyEntity(config)).toMatchObject({
    apiKey: KEY,
    apiUrl: 'http://127.0.0.1:8765',
    ibans: ['FR7630006000011234567890189', 'DE89370400440532013000'],
    payerPatterns: [/\bALMA\b/iu, /^ALMA.{0,3}SAS$/iu],
    mailTo: ['a@example.com', 'b@example.com'],
  })
  expect(config).toMatchObject({
    reportsDir: '/data/reports',
    bankInbox: '/place/in/bank',
    bankProfilesDir: '/place/profiles',
    csvDialect: 'fr',
    lateWindowDays: 3,
    unpaidAfterDays: 0,
  })
})

test('the configuration cannot be changed afterwards, at any depth', () => {
  const config = configOf({ ALMA_IBANS: 'FR7630006000011234567890189' })
  expect(Object.isFrozen(config)).toBe(true)
  expect(Object.isFrozen(onlyEntity(config))).toBe(true)
  expect(Object.isFrozen(onlyEntity(config).ibans)).toBe(true)
})

describe('what marks a bank line as the provider’s', () => {
  test.each([
    ['VIR SEPA ALMA SAS PAYOUT', true],
    ['virement de alma', true],
    ['ALMA', true],
    ['ALMA*PAYOUT_11', true],
    ['PALMA HOTELS', false],
    ['ALMAZ SARL', false],
    ['LALMA', false],
  ])('%s: %s', (text, isTheProvider) => {
    const { payerPatterns } = onlyEntity(configOf({}))
    expect(payerPatterns.some((pattern) => pattern.test(text))).toBe(isTheProvider)
  })

  test('commas inside brackets belong to the pattern, and so does an escaped one', () => {
    const text = String.raw`ALMA.{1,3}X,(A,B),[,;]C,D\,E`
    const { payerPatterns } = onlyEntity(configOf({ ALMA_PAYER_PATTERNS: text }))
    expect(payerPatterns.map((pattern) => pattern.source)).toEqual([
      'ALMA.{1,3}X',
      '(A,B)',
      '[,;]C',
      'D,E',
    ])
  })
})

describe('a wrong setting is named with what was found and what was expected', () => {
  test.each<[Record<string, string>, string]>([
    [{ ALMA_API_URL: 'api.getalma.eu' }, 'ALMA_API_URL: found "api.getalma.eu", expected a URL'],
    [{ ALMA_API_URL: 'ftp://api.getalma.eu' }, 'expected a URL that begins with https://'],
    [{ ALMA_API_URL: 'http://api.getalma.eu' }, 'expected https: (plain http: only for this'],
    [{ ALMA_API_URL: 'http://127.evil.com' }, 'expected https: (plain http: only for this'],
    [{ ALMA_API_URL: 'http://localhost.evil.com' }, 'expected https: (plain http: only for this'],
    [{ ALMA_API_URL: 'https://api.getalma.eu/v1/' }, 'the base URL without the version'],
    [{ ALMA_API_URL: 'https://a:b@api.getalma.eu' }, 'without a name or password'],
    [{ ALMA_IBANS: 'FR76!' }, 'ALMA_IBANS: found "FR76!", expected an IBAN such as'],
    [{ ALMA_PAYER_PATTERNS: '(' }, 'ALMA_PAYER_PATTERNS: found "(", expected a regular expression'],
    [{ ALMA_PAYER_PATTERNS: 'ALMA|' }, 'expected a pattern that not every line matches'],
    [{ FEE_VAT: 'maybe' }, 'FEE_VAT: found "maybe", expected included or excluded'],
    [{ JOURNAL_ACCOUNT_BANK: 'bank' }, 'found "bank", expected an account number that begins with'],
    [{ JOURNAL_ACCOUNT_PROVIDER: '512' }, 'found 512, expected an account of its own, because'],
    [{ JOURNAL_CODE: 'B Q' }, 'JOURNAL_CODE: found "B Q", expected a journal code'],
    [{ SIREN: '12345' }, 'SIREN: found "12345", expected the nine digits of a SIREN'],
    [{ LEDGER_SINCE: '2024-02-30' }, 'LEDGER_SINCE: found "2024-02-30", expected an existing day'],
    [{ LEDGER_SINCE: '01/02/2024' }, 'LEDGER_SINCE: found "01/02/2024", expected an existing day'],
    [{ MAIL_FROM: 'books' }, 'MAIL_FROM: found "books", expected an e-mail address'],
    [{ MAIL_TO: 'a@b, c' }, 'MAIL_TO: found "c", expected an e-mail address'],
    [{ NIGHTLY_CRON: '61 5 * * *' }, 'NIGHTLY_CRON: found "61 5 * * *", expected five cron fields'],
    [{ BUSINESS_TIME_ZONE: 'Paris' }, 'BUSINESS_TIME_ZONE: found "Paris", expected the name of'],
    [{ BUSINESS_TIME_ZONE: '+01:00' }, 'BUSINESS_TIME_ZONE: found "+01:00", expected the name of'],
    [{ CSV_DIALECT: 'de' }, 'CSV_DIALECT: found "de", expected iso or fr'],
    [
      { MATCH_WINDOW_DAYS: '5.5' },
      'MATCH_WINDOW_DAYS: found "5.5", expected a whole number from 0',
    ],
    [{ MATCH_WINDOW_DAYS: '-1' }, 'MATCH_WINDOW_DAYS: found "-1", expected a whole number'],
    [{ LATE_WINDOW_DAYS: '1e2' }, 'LATE_WINDOW_DAYS: found "1e2", expected a whole number'],
    [{ UNPAID_AFTER_DAYS: 'ten' }, 'UNPAID_AFTER_DAYS: found "ten", expected a whole number'],
    [{ KEEP_CUSTOMER_DATA: 'true' }, 'KEEP_CUSTOMER_DATA: found "true", expected yes or no'],
    [{ EXPORT_TIMEOUT_SECONDS: '0' }, 'EXPORT_TIMEOUT_SECONDS: found "0", expected a whole number'],
    [
      { MATCH_WINDOW_DAYS: '10', LATE_WINDOW_DAYS: '9' },
      'LATE_WINDOW_DAYS: found 9, expected at least MATCH_WINDOW_DAYS, which is 10',
    ],
    [{ SMTP_URL: 'smtp://mail:25', MAIL_TO: 'a@b' }, 'MAIL_FROM: found nothing'],
    [{ SMTP_URL: 'smtp://mail:25', MAIL_FROM: 'a@b' }, 'MAIL_TO: found nothing'],
    [{ FEES_FILE: 'fees.json' }, 'FEES_FILE: found "fees.json", expected the path of a file'],
    [{ ENTITIES_FILE: 'e.json' }, 'ENTITIES_FILE: found "e.json", expected the path of a file'],
    [{ ALMA_API_KEY_FILE: 'key' }, 'ALMA_API_KEY_FILE: found "key", expected the path of a file'],
  ])('%o', (env, said) => {
    const message = faultOf(env)
    expect(message).toContain(said)
    expect(message).toMatch(/^a setting is wrong:\n {2}- /)
  })

  test('all of them together', () => {
    const message = faultOf({ CSV_DIALECT: 'de', MATCH_WINDOW_DAYS: 'x', LEDGER_SINCE: 'y' })
    expect(message).toMatch(/^3 settings are wrong:/)
    for (const name of ['CSV_DIALECT', 'MATCH_WINDOW_DAYS', 'LEDGER_SINCE']) {
      expect(message).toContain(`- ${name}: found`)
    }
  })
})

describe('loopback hosts may be plain http', () => {
  test.each(['http://127.0.0.1:1', 'http://127.8.9.1', 'http://[::1]:2', 'http://localhost:3'])(
    '%s',
    (url) => {
      expect(onlyEntity(configOf({ ALMA_API_URL: url })).apiUrl).toBe(url)
    },
  )
})

describe('secrets', () => {
  const secret = 'hunter2hunter2'
  test.each(['ALMA_API_KEY', 'DATABASE_URL', 'SMTP_URL'])('%s is never shown', (name) => {
    const message = faultOf({ [name]: secret })
    expect(message).toContain(`${name}: found something else (not shown, it is a secret), expected`)
    expect(message).not.toContain(secret)
    const ofFile = faultOf({ [`${name}_FILE`]: 'f' }, { '/place/f': `${secret}\n` })
    expect(ofFile).toContain(`${name}_FILE: found something else (not shown`)
    expect(ofFile).not.toContain(secret)
  })

  test('a key must have one of the two prefixes and stay in one line', () => {
    expect(faultOf({ ALMA_API_KEY: 'pk_live_1' })).toContain('begins with sk_live_ or sk_test_')
    expect(faultOf({ ALMA_API_KEY: `${KEY}\nX-Header: 1` })).toContain('in one line')
  })

  test('from a file, its line break not being part of it', () => {
    const config = configOf(
      { ALMA_API_KEY_FILE: 'secrets/key', DATABASE_URL_FILE: '/run/db' },
      { '/place/secrets/key': `${KEY}\n`, '/run/db': '\uFEFFpostgres://db/x\r\n' },
    )
    expect(onlyEntity(config).apiKey).toBe(KEY)
    expect(config.databaseUrl).toBe('postgres://db/x')
  })

  test('an empty file, and both ways at once, are faults', () => {
    expect(faultOf({ ALMA_API_KEY_FILE: 'f' }, { '/place/f': '\n' })).toContain('an empty file')
    expect(faultOf({ ALMA_API_KEY: KEY, ALMA_API_KEY_FILE: 'f' }, { '/place/f': KEY })).toContain(
      'found both ALMA_API_KEY and ALMA_API_KEY_FILE, expected one of the two',
    )
  })

  test('a key pasted where it does not belong is hidden', () => {
    const message = faultOf(
      { ENTITIES_FILE: 'e.json', CSV_DIALECT: LIVE_KEY },
      { '/place/e.json': JSON.stringify([{ name: 'Shop', apiKeyEnv: `${LIVE_KEY} ` }]) },
    )
    expect(message).not.toContain(LIVE_KEY)
    expect(message).toContain('sk_live_(hidden)')
    const broken = faultOf({ ENTITIES_FILE: 'e.json' }, { '/place/e.json': `[{"k":"${LIVE_KEY}"` })
    expect(broken).not.toContain(LIVE_KEY)
    expect(broken).toContain('which is no JSON')
  })
})

describe('several entities', () => {
  const env = { ENTITIES_FILE: 'entities.json', KEY_A: KEY, KEY_B: LIVE_KEY }
  const shop = { name: 'Shop', apiKeyEnv: 'KEY_A', ibans: ['FR7630006000011234567890189'] }
  const store = { name: 'Store 2', apiKeyEnv: 'KEY_B', ibans: ['DE89370400440532013000'] }
  const fees = { vat: 'included', vatRate: '20', plans: { 'P1X_D+30': { rate: '3.80' } } }
  const file = (content: unknown): Record<string, string> => ({
    '/place/entities.json': typeof content === 'string' ? content : JSON.stringify(content),
  })

  test('fees of the provider’s own plans instead of a contract', () => {
    const priced = { name: 'Shop', apiKeyEnv: 'KEY_A', fees: 'provider' }
    const [entity] = configOf(env, file([priced])).entities
    expect([entity?.fees, entity?.feesOfProvider]).toEqual([null, true])
    expect(faultOf(env, file([{ ...shop, fees: 'alma' }]))).toContain(
      'fees): found "alma", expected an object with "vat", "vatRate" and "plans", or "provider"',
    )
    const unknown = { vat: 'excluded', vatRate: '20', plans: {}, rate: 3 }
    expect(faultOf(env, file([{ ...shop, fees: unknown }]))).toContain(
      'the unknown attribute "rate"',
    )
  })

  test('each with its own key, host, accounts and fees; empty lists mean the default', () => {
    const { entities } = configOf(
      { ...env, MAIL_TO: 'all@example.com' },
      file([
        { ...shop, payerPatterns: [], mailTo: [], payerIbans: ['GB33 BUKB 2020 1555 5555 55'] },
        {
          ...store,
          payerPatterns: ['^ALMA '],
          mailTo: ['store@example.com'],
          fees,
          siren: '732 829 320',
        },
      ]),
    )
    expect(entities).toEqual([
      {
        name: 'Shop',
        apiKey: KEY,
        apiKeySetting: 'KEY_A',
        apiUrl: 'https://api.sandbox.getalma.eu',
        ibans: ['FR7630006000011234567890189'],
        payerPatterns: [/\bALMA\b/iu],
        payerIbans: ['GB33BUKB20201555555555'],
        mailTo: ['all@example.com'],
        fees: null,
        feesOfProvider: false,
        siren: null,
        webhookKey: null,
      },
      {
        name: 'Store 2',
        apiKey: LIVE_KEY,
        apiKeySetting: 'KEY_B',
        apiUrl: 'https://api.getalma.eu',
        ibans: ['DE89370400440532013000'],
        payerPatterns: [/^ALMA /iu],
        payerIbans: [],
        mailTo: ['store@example.com'],
        fees: {
          vat: 'included',
          vatRatePercent: '20',
          plans: { 'P1X_D+30': { ratePercent: '3.80', fixedMinor: 0n } },
        },
        feesOfProvider: false,
        siren: '732829320',
        webhookKey: null,
      },
    ])
  })

  test('a key of an entity may come from a file, or be missing', () => {
    const { entities } = configOf(
      { ENTITIES_FILE: 'entities.json', KEY_A_FILE: 'a' },
      { ...file([shop, store]), '/place/a': KEY },
    )
    expect(entities.map(({ apiKey }) => apiKey)).toEqual([KEY, null])
  })

  test.each<[string, unknown, string]>([
    ['no JSON', '[{', 'which is no JSON'],
    ['no list', {}, 'ENTITIES_FILE (entities.json): found {}, expected a list of entities'],
    ['an empty list', [], 'expected at least one entity'],
    ['no name', [{ apiKeyEnv: 'KEY_A' }], 'entity 1: name): found nothing, expected a name'],
    ['a path as name', [{ ...shop, name: '../x' }], 'entity 1 "../x": name): found "../x"'],
    ['a formula as name', [{ ...shop, name: '=1+1' }], 'found "=1+1", expected a name'],
    ['no key setting', [{ name: 'A' }], 'entity 1 "A": apiKeyEnv): found nothing'],
    ['an unknown attribute', [{ ...shop, iban: 'x' }], 'found the unknown attribute "iban"'],
    ['an account that is none', [{ ...shop, ibans: ['?'] }], '"Shop": ibans.0): found "?"'],
    [
      'a number as account',
      [{ ...shop, ibans: [5] }],
      '"Shop": ibans.0): found 5, expected an IBAN',
    ],
    ['a broken pattern', [{ ...shop, payerPatterns: ['['] }], 'payerPatterns.0): found "["'],
    ['a broken address', [{ ...shop, mailTo: ['me'] }], 'mailTo.0): found "me"'],
    [
      'one name twice',
      [shop, { ...store, name: 'SHOP' }],
      'the name "shop" at "Shop" and at "SHOP"',
    ],
    [
      'one account twice',
      [shop, { ...store, ibans: shop.ibans }],
      'FR7630006000011234567890189 at',
    ],
    [
      'one key twice',
      [shop, { ...store, apiKeyEnv: 'KEY_A' }],
      'the same API key at "Shop" and at',
    ],
    [
      'two without accounts',
      [
        { ...shop, ibans: [] },
        { ...store, ibans: [] },
      ],
      'found no "ibans" at "Shop" and "Store 2"',
    ],
    ['own and payer', [{ ...shop, payerIbans: shop.ibans }], 'both as own account and as payer'],
    [
      'fees: VAT',
      [{ ...shop, fees: { ...fees, vat: 'yes' } }],
      'fees.vat): found "yes", expected "excluded"',
    ],
    ['fees: rate', [{ ...shop, fees: { ...fees, vatRate: '20%' } }], 'fees.vatRate): found "20%"'],
    [
      'fees: plan',
      [{ ...shop, fees: { ...fees, plans: { p3x: { rate: '1' } } } }],
      'found "p3x", expected plans named as the provider does',
    ],
    [
      'fees: a rate finer than the fees are reckoned',
      [{ ...shop, fees: { ...fees, vatRate: '5.505' } }],
      'found "5.505", expected a rate in per cent as text, from 0 to 100 with at most two decimals',
    ],
    [
      'fees: half a cent',
      [{ ...shop, fees: { ...fees, plans: { P3X: { rate: '1', fixed: 0.5 } } } }],
      'fees.plans.P3X.fixed): found 0.5, expected a whole number of cents',
    ],
  ])('refused: %s', (_, content, said) => {
    expect(faultOf(env, file(content))).toContain(said)
  })

  test('one of them may have no accounts: it takes those that no other names', () => {
    expect(configOf(env, file([shop, { ...store, ibans: [] }])).entities[1]?.ibans).toEqual([])
  })
})

test('FEES_FILE gives the fees of the one entity', () => {
  const fees = { vat: 'excluded', vatRate: 20, plans: { P3X: { rate: 3.8, fixed: 25 } } }
  const config = configOf({ FEES_FILE: 'fees.json' }, { '/place/fees.json': JSON.stringify(fees) })
  expect(onlyEntity(config).fees).toEqual({
    vat: 'excluded',
    vatRatePercent: '20',
    plans: { P3X: { ratePercent: '3.8', fixedMinor: 25n } },
  })
})

describe('the provider’s key when it is needed', () => {
  test('the host follows the key’s prefix', () => {
    expect(apiUrlOfKey(LIVE_KEY)).toBe('https://api.getalma.eu')
    expect(apiUrlOfKey(KEY)).toBe('https://api.sandbox.getalma.eu')
    expect(requireApiKey(onlyEntity(configOf({ ALMA_API_KEY: KEY })))).toEqual({
      apiKey: KEY,
      apiUrl: 'https://api.sandbox.getalma.eu',
    })
  })

  test('missing: says how to set it, and that the demo needs none', () => {
    const fault = (() => {
      try {
        return requireApiKey(onlyEntity(configOf({})))
      } catch (error) {
        return error
      }
    })()
    if (!(fault instanceof ConfigurationFault)) throw new Error('no fault')
    expect(fault.message).toContain('ALMA_API_KEY is not set')
    expect(fault.hint).toContain('ALMA_API_KEY_FILE')
    expect(fault.hint).toContain('npm run demo')
  })
})

describe('the .env file', () => {
  let dir = ''
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'alma-env-'))
  })
  afterAll(() => rm(dir, { recursive: true }))

  test('is optional', () => {
    expect(loadEnvironment(join(dir, 'nowhere'), { A: '1' })).toEqual({ A: '1' })
  })

  test('gives what the process was not given; the process wins, even with empty text', async () => {
    await writeFile(
      join(dir, '.env'),
      '\uFEFFFIRST=1\r\n# a comment\r\nBOTH="from file"\r\nOFF=x\nQUOTED="a # b"\n',
    )
    expect(loadEnvironment(dir, { BOTH: 'from process', OFF: '' })).toEqual({
      FIRST: '1',
      BOTH: 'from process',
      OFF: '',
      QUOTED: 'a # b',
    })
  })

  test('that cannot be read is a fault, not an empty one', async () => {
    const { mkdir } = await import('node:fs/promises')
    await mkdir(join(dir, 'odd', '.env'), { recursive: true })
    expect(() => loadEnvironment(join(dir, 'odd'), {})).toThrow(/\.env is there but cannot be read/)
  })

  test('.env.example names every setting, and as it stands changes none', async () => {
    const text = await readFile(new URL('../.env.example', import.meta.url), 'utf8')
    const bases = SETTING_NAMES.filter(
      (name) => !/^(DATABASE|SMTP|HEALTHCHECK)_URL_FILE$/.test(name),
    )
    for (const name of bases) expect(text).toMatch(new RegExp(`^#?${name}=`, 'm'))
    await writeFile(join(dir, '.env'), text)
    const env = loadEnvironment(dir, {})
    expect(readConfig(env, { cwd: '/place', readFile: () => null })).toEqual(configOf({}))
  })

  test('.env.example with everything switched on is accepted', async () => {
    const text = await readFile(new URL('../.env.example', import.meta.url), 'utf8')
    const env: Record<string, string> = {}
    for (const [, name, value] of text.matchAll(/^#?([A-Z_]+)=(.+)$/gm)) {
      if (name !== undefined && value !== undefined && !name.endsWith('_FILE')) env[name] = value
    }
    expect(Object.keys(env).length).toBeGreaterThan(10)
    expect(onlyEntity(configOf(env)).ibans).toEqual(['FR7630006000011234567890189'])
  })
})

describe('what is allowed but probably not meant', () => {
  const warningsOf = (env: Record<string, string>, files: Record<string, string> = {}): string[] =>
    settingWarnings(env, configOf(env, files))

  test('nothing to say about nothing', () => {
    expect(warningsOf({ PATH: '/bin' })).toEqual([])
  })

  test('a typing error in a name or an account, a key at the wrong host', () => {
    const warnings = warningsOf({
      ALMA_IBAN: 'x',
      ALMA_IBANS: 'FR7630006000011234567890188',
      ALMA_API_KEY: KEY,
      ALMA_API_URL: 'https://api.getalma.eu',
    })
    expect(warnings).toEqual([
      expect.stringContaining('FR7630006000011234567890188 do not fit'),
      expect.stringContaining('ALMA_IBAN is no setting'),
      expect.stringContaining('a test key, but ALMA_API_URL is the live host'),
    ])
  })

  test('settings of the one entity beside an entities file', () => {
    const entities = JSON.stringify([{ name: 'A', apiKeyEnv: 'KEY_A' }])
    const env = { ENTITIES_FILE: 'e', KEY_A: KEY, ALMA_IBANS: 'FR7630006000011234567890189' }
    expect(warningsOf(env, { '/place/e': entities })).toEqual([
      'ALMA_IBANS is not used, because ENTITIES_FILE names the entities',
    ])
  })
})
