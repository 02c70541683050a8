/**
 * What the provider tells by itself, of its own accord: that something happened to a payment. It is a
 * hint where to look, never a fact of a report: nothing of it is kept but the payment's id.
 */

/** One notification whose signature was found to be right. */
export interface Notification {
  /** `ipn`: the older kind, one GET a payment. `webhook`: a POST with JSON. */
  readonly source: 'ipn' | 'webhook'
  /** `payment.captured` and the like as the provider names it, known or not; `ipn` for that kind. */
  readonly type: string
  /** Null where the notification names no payment. */
  readonly paymentId: string | null
  /** The same for whatever is a repetition: the payment of an IPN, the SHA-256 of a webhook's body. */
  readonly key: string
}

/** Why a notification is not taken. */
export type Refusal =
  /** No signature, or none that could be one. */
  | 'unsigned'
  /** Signed by none of the keys, or in another way than they are for. */
  | 'forged'
  /** Signed well, but too long ago, not yet, or without saying when. */
  | 'stale'
  /** Signed well, but the signature would fit any other content as well. */
  | 'unbound'
  /** Signed well or not at all, and not what such a notification looks like. */
  | 'unreadable'
  /** A webhook where no key for them is configured. */
  | 'no_key'

export type Reading =
  | { readonly notification: Notification; readonly entities: readonly string[] }
  | { readonly refused: Refusal }

const ID = /^[A-Za-z0-9_-]{1,128}$/

/** Whether a text may be an id of the provider: what it is made of, not what it means. */
export function isId(text: string): boolean {
  return ID.test(text)
}
