/** Whether the check digits of an IBAN fit (ISO 7064, modulo 97); true of what is no IBAN at all. */
export function hasValidCheckDigits(account: string): boolean {
  if (!/^[A-Z]{2}\d{2}[A-Z0-9]+$/.test(account)) return true
  const digits = (account.slice(4) + account.slice(0, 4)).replaceAll(/[A-Z]/g, (letter) =>
    String(letter.charCodeAt(0) - 55),
  )
  return BigInt(digits) % 97n === 1n
}
