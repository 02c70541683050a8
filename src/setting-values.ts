/**
 * The form of each kind of setting. The message of a schema is the phrase that follows "expected":
 * whoever knows the setting's name puts the rest around it.
 */
import { isIP } from 'node:net'
import { validate as isCronExpression } from 'node-cron'
import { z } from 'zod'
import { parseDay } from './domain/day.ts'
import { InvalidValue } from './domain/invalid-value.ts'
import { parseWebhookKeys } from './events/webhook-keys.ts'

export { hasValidCheckDigits } from './iban-check.ts'

/** Digits only: `5.5`, `1e3` and `-1` are refused. */
export function wholeNumber(least: number, most: number) {
  const expected = `a whole number from ${least} to ${most}`
  return z
    .string()
    .regex(/^\d{1,9}$/, { error: expected, abort: true })
    .transform(Number)
    .refine((value) => value >= least && value <= most, expected)
}

export const dayText = z.string().transform((text, context): string => {
  try {
    return parseDay(text)
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
    context.addIssue('an existing day as YYYY-MM-DD')
    return z.NEVER
  }
})

export const timeZone = z
  .string()
  .refine(isTimeZone, 'the name of a time zone (IANA), such as Europe/Paris')

function isTimeZone(name: string): boolean {
  // Fixed offsets such as +01:00 are formatted too, but know no change of the clocks.
  if (/^[+-]/.test(name)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

export const cron = z
  .string()
  .refine(
    isCronExpression,
    'five cron fields (minute, hour, day, month, weekday), such as 30 5 * * *',
  )

/** The name of a role of Postgres as it stands without quotes. */
export const databaseRole = z
  .string()
  .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'the name of a role of the database, such as alma_reader')

/** Base URL without a trailing slash. */
export const providerUrl = z.string().transform((text, context): string => {
  const url = URL.canParse(text) ? new URL(text) : null
  const problem = providerUrlProblem(url)
  if (url === null || problem !== null) {
    context.addIssue(problem ?? '')
    return z.NEVER
  }
  return url.origin + url.pathname.replace(/\/+$/, '')
})

function providerUrlProblem(url: URL | null): string | null {
  if (url === null) return 'a URL such as https://api.getalma.eu'
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return 'https: (plain http: only for this machine itself: 127.0.0.1, [::1] or localhost), because the key travels with every request'
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return 'a URL that begins with https://'
  if (url.username !== '' || url.password !== '') return 'a URL without a name or password in it'
  if (url.search !== '' || url.hash !== '') return 'a URL that ends with its host or path'
  if (/\/v\d+\/*$/.test(url.pathname)) return 'the base URL without the version (/v1 is added)'
  return null
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/** The key goes into a header, so nothing that could end one is let through. */
export const providerKey = z
  .string()
  .regex(
    /^sk_(live|test)_[\x21-\x7e]+$/,
    'a key that begins with sk_live_ or sk_test_, in one line and without blanks or quotes',
  )

export const databaseUrl = z
  .string()
  .refine(
    (text) => /^postgres(ql)?:/i.test(text) && URL.canParse(text),
    'a URL such as postgres://user:password@host:5432/database',
  )

export const smtpUrl = z
  .string()
  .refine(
    (text) => /^smtps?:/i.test(text) && URL.canParse(text),
    'a URL such as smtps://user:password@host:465',
  )

export const monitorUrl = z
  .string()
  .refine(
    (text) => /^https?:/i.test(text) && URL.canParse(text),
    'a URL such as https://monitor.example/ping/id',
  )

export const listenHost = z
  .string()
  .refine(
    (text) => isIP(text) !== 0 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text),
    'an address of this machine such as 127.0.0.1, or 0.0.0.0 for all of them',
  )

export const webhookKey = z
  .string()
  .refine(
    (text) => parseWebhookKeys(text) !== null,
    'public keys as PEM or JWK (RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519), or shared secrets of at least 32 characters',
  )

const MAIL_ADDRESS = 'an e-mail address such as accounts@example.com'
const ADDRESS = String.raw`[^\s@<>,;"]+@[^\s@<>,;"]+`

export const mailAddress = z
  .string(MAIL_ADDRESS)
  .trim()
  .regex(new RegExp(`^${ADDRESS}$`), MAIL_ADDRESS)

export const mailSender = z
  .string()
  .regex(
    new RegExp(String.raw`^(${ADDRESS}|[^<>\r\n]*<${ADDRESS}>)$`),
    `${MAIL_ADDRESS} or Accounts <accounts@example.com>`,
  )

const BANK_ACCOUNT = 'an IBAN such as FR7630006000011234567890189'

/** An account as bank files name it: capitals without blanks. Not every bank gives an IBAN. */
export const bankAccount = z
  .string(BANK_ACCOUNT)
  .transform((text) => text.replaceAll(/\s/g, '').toUpperCase())
  .refine((account) => /^[A-Z0-9][A-Z0-9./_-]{4,63}$/.test(account), BANK_ACCOUNT)

const PATTERN = String.raw`a regular expression such as \bALMA\b`

/**
 * A case-insensitive pattern over the text of a bank line. Without the `g` flag, so that a pattern
 * keeps no position from one line to the next.
 */
export const payerPattern = z.string(PATTERN).transform((source, context): RegExp => {
  try {
    const pattern = new RegExp(source, 'iu')
    if (!pattern.test('')) return pattern
    context.addIssue(String.raw`a pattern that not every line matches, such as \bALMA\b`)
  } catch {
    context.addIssue(PATTERN)
  }
  return z.NEVER
})

/**
 * Splits at commas, but not inside brackets, so that patterns such as `ALMA.{0,3}SAS` survive; `\,`
 * stands for a comma of the pattern.
 */
export function splitPatterns(text: string): string[] {
  const patterns: string[] = []
  let current = ''
  let depth = 0
  for (const [piece] of text.matchAll(/\\.|[^]/gu)) {
    if (piece === ',' && depth === 0) {
      patterns.push(current)
      current = ''
      continue
    }
    if ('([{'.includes(piece)) depth += 1
    if (')]}'.includes(piece)) depth = Math.max(0, depth - 1)
    current += piece === String.raw`\,` ? ',' : piece
  }
  return [...patterns, current].map((pattern) => pattern.trim()).filter((pattern) => pattern !== '')
}

export function splitList(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

const RATE_PERCENT =
  'a rate in per cent as text, from 0 to 100 with at most two decimals, such as "3.80"'

/** Per cent as decimal text. */
const ratePercent = z
  .union([z.string(), z.number().transform(String)], RATE_PERCENT)
  .refine((text) => /^(100(\.0+)?|\d{1,2}(\.\d{1,2}0*)?)$/.test(text), RATE_PERCENT)

const FIXED = 'a whole number of cents, 0 or more'

/** `fees` of an entity, and the content of `FEES_FILE`. */
const feeContract = z
  .strictObject(
    {
      vat: z.enum(['excluded', 'included'], '"excluded" or "included"'),
      vatRate: ratePercent,
      plans: z.record(
        z
          .string()
          .regex(/^[A-Z][A-Z0-9_+]*$/, 'plans named as the provider does, such as P3X or P1X_D+30'),
        z.strictObject(
          {
            rate: ratePercent,
            fixed: z.int(FIXED).min(0, FIXED).default(0).transform(BigInt),
          },
          'a plan\'s price such as { "rate": "3.80", "fixed": 0 }',
        ),
        'an object with one attribute a plan',
      ),
    },
    'an object with "vat", "vatRate" and "plans", or "provider"',
  )
  .transform(({ vat, vatRate, plans }) => ({
    vat,
    vatRatePercent: vatRate,
    plans: Object.fromEntries(
      Object.entries(plans).map(([plan, { rate, fixed }]) => [
        plan,
        { ratePercent: rate, fixedMinor: fixed },
      ]),
    ),
  }))

/** A contract, or the word `provider`: then fees are compared with the provider's own fee plans. */
export const feesSetting = z
  .unknown()
  .transform((value, context): z.output<typeof feeContract> | 'provider' => {
    if (value === 'provider') return value
    const contract = feeContract.safeParse(value)
    if (contract.success) return contract.data
    for (const issue of contract.error.issues) {
      const { code, path, message } = issue
      context.issues.push(
        code === 'invalid_key' || code === 'unrecognized_keys'
          ? { ...issue, input: {} }
          : { code: 'custom', path, message, input: value },
      )
    }
    return z.NEVER
  })

/** As the plan comptable numbers accounts: what an accounting program sorts by begins with three digits. */
export const accountNumber = z
  .string()
  .regex(
    /^\d{3}[0-9A-Z]{0,17}$/,
    'an account number that begins with three digits, such as 512 or 51210000',
  )

const BOOKS_OF_ACCOUNT =
  'an IBAN and the account of your books for it, such as FR7630006000011234567890189=51210'

/** One own bank account and the account number that stands for it in the books. */
export const booksOfAccount = z.string().transform((text, context): [string, string] => {
  const [account, number, ...more] = text.split('=').map((part) => part.trim())
  const checked = bankAccount.safeParse(account)
  const known = accountNumber.safeParse(number)
  if (more.length === 0 && checked.success && known.success) return [checked.data, known.data]
  context.addIssue(BOOKS_OF_ACCOUNT)
  return z.NEVER
})

export const journalCode = z
  .string()
  .regex(/^[A-Z0-9]{1,10}$/, 'a journal code of up to ten capitals and digits, such as BQ')

const SIREN = 'the nine digits of a SIREN'

export const siren = z
  .string(SIREN)
  .transform((text) => text.replaceAll(/\s/g, ''))
  .refine((text) => /^\d{9}$/.test(text), SIREN)

const ENTITY_NAME =
  'a name of up to 60 letters, digits, blanks, "-", "_" and ".", beginning with a letter or digit'
const SETTING_NAME = 'the name of the setting that holds the key, such as ALMA_API_KEY_SHOP'
const WEBHOOK_SETTING_NAME =
  'the name of the setting that holds the key of its webhooks, such as WEBHOOK_KEY_SHOP'

/** The content of `ENTITIES_FILE`. Lists that are left out or empty mean the default. */
export const entityList = z
  .array(
    z.strictObject(
      {
        name: z
          .string(ENTITY_NAME)
          .transform((name) => name.normalize('NFC'))
          .refine((name) => /^[\p{L}\p{N}](?:[\p{L}\p{N} ._-]{0,58}[\p{L}\p{N}])?$/u.test(name), {
            error: ENTITY_NAME,
          }),
        apiKeyEnv: z.string(SETTING_NAME).regex(/^[A-Za-z_][A-Za-z0-9_]*$/, SETTING_NAME),
        ibans: z.array(bankAccount, 'a list of IBANs').default([]),
        payerPatterns: z.array(payerPattern, 'a list of patterns').default([]),
        payerIbans: z.array(bankAccount, 'a list of IBANs').default([]),
        mailTo: z.array(mailAddress, 'a list of e-mail addresses').default([]),
        fees: feesSetting.nullable().default(null),
        siren: siren.nullable().default(null),
        webhookKeyEnv: z
          .string(WEBHOOK_SETTING_NAME)
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, WEBHOOK_SETTING_NAME)
          .nullable()
          .default(null),
      },
      'an object with "name" and "apiKeyEnv"',
    ),
    'a list of entities: [{ "name": "…", "apiKeyEnv": "…" }]',
  )
  .min(1, 'at least one entity')
