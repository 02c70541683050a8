/**
 * How the sandbox answers where the provider's documentation is silent, so that a client can be tried
 * under each reading. What changes money itself (VAT in fees, fees returned on refunds, negative
 * balances) is a property of the world, see `WorldOptions`.
 */
export interface SandboxSwitches {
  /** Added before every answer. */
  latencyMs: number
  /** `application/json; charset=utf-8` instead of the bare type that the provider sends. */
  charsetInContentType: boolean
  /** Smallest accepted `limit`: 1 by the documentation, 20 by hearsay. */
  limitMin: number
  /** A `limit` below the least or above 100. */
  limitOutOfRange: 'refuse' | 'clamp'
  /** Whether `created[min]` and `created[max]` filter balance transactions; both are inclusive. Refused: 400. */
  createdRange: 'honoured' | 'ignored' | 'refused'
  /** A `starting_after` that no object has: 404, 400, a page without rows, or what sorts below it. */
  unknownCursor: 'not_found' | 'invalid' | 'empty_page' | 'lexicographic'
  /** Attributes that no documentation names, on rows and payments. */
  extraAttributes: boolean
  /** Kinds to show under another name, e.g. `{ from_fee_waiver: 'from_gift' }`. */
  renamedKinds: Readonly<Record<string, string>>

  /** How many polls of an export answer "not complete" before one answers "complete". */
  exportPolls: number
  /** How long an export takes at least. */
  exportDelayMs: number
  /** An export never becomes complete. */
  exportStuck: boolean
  /** `url`: `url_csv` is signed and needs no key. `format_only`: no URL ever, only `?format=csv` with the key. */
  exportDownload: 'url' | 'format_only'
  /** How long a signed URL works; each poll signs a new one. Null: for good. */
  exportUrlLifetimeMs: number | null
  /** Status of a successful `POST /v1/data-exports`. */
  exportCreatedStatus: 200 | 201
  /** Whether a row created at exactly `end` is in the export. */
  exportEnd: 'exclusive' | 'inclusive'
  exportDelimiter: ',' | ';'
  exportBom: boolean
  /** Which apostrophe `Nombre d'échéances` has. */
  exportApostrophe: 'straight' | 'typographic'
  /** Columns that no documentation names, the first of them ahead of all others. */
  exportExtraColumns: boolean
  exportPayoutRows: boolean
  /** Amounts of refund rows as in the ledger (negative), or without their sign. */
  exportRefundSign: 'signed' | 'unsigned'

  /** `missing`: 404, as for an account without the right to it. */
  paymentsList: 'full' | 'without_refunds' | 'missing'
  /** Whether plans can be asked for; `missing`: 404, as of an API that does not have it. */
  eligibility: 'full' | 'missing'
  /** Whether the account may read its fee plans; `refused`: 403. */
  feePlans: 'full' | 'refused'
}

/** As documented, and where nothing is, as the published samples suggest. */
export const DEFAULT_SWITCHES: Readonly<SandboxSwitches> = {
  latencyMs: 0,
  charsetInContentType: false,
  limitMin: 1,
  limitOutOfRange: 'refuse',
  createdRange: 'honoured',
  unknownCursor: 'not_found',
  extraAttributes: false,
  renamedKinds: {},
  exportPolls: 1,
  exportDelayMs: 0,
  exportStuck: false,
  exportDownload: 'url',
  exportUrlLifetimeMs: null,
  exportCreatedStatus: 200,
  exportEnd: 'exclusive',
  exportDelimiter: ',',
  exportBom: false,
  exportApostrophe: 'straight',
  exportExtraColumns: false,
  exportPayoutRows: true,
  exportRefundSign: 'signed',
  paymentsList: 'full',
  eligibility: 'full',
  feePlans: 'full',
}
