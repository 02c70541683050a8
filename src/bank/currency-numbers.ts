import { InvalidValue } from '../domain/invalid-value.ts'
import { type Currency, parseCurrency } from '../domain/money.ts'
import { shown } from './reader.ts'

/** ISO 4217: the numbers of the currencies in which European banks keep accounts. */
const BY_NUMBER: Readonly<Record<string, Currency>> = {
  '036': 'AUD',
  '124': 'CAD',
  '156': 'CNY',
  '203': 'CZK',
  '208': 'DKK',
  '344': 'HKD',
  '348': 'HUF',
  '352': 'ISK',
  '356': 'INR',
  '376': 'ILS',
  '392': 'JPY',
  '410': 'KRW',
  '414': 'KWD',
  '484': 'MXN',
  '504': 'MAD',
  '554': 'NZD',
  '578': 'NOK',
  '682': 'SAR',
  '702': 'SGD',
  '710': 'ZAR',
  '752': 'SEK',
  '756': 'CHF',
  '764': 'THB',
  '784': 'AED',
  '788': 'TND',
  '826': 'GBP',
  '840': 'USD',
  '946': 'RON',
  '949': 'TRY',
  '975': 'BGN',
  '978': 'EUR',
  '985': 'PLN',
  '986': 'BRL',
}

/**
 * A currency by its ISO number, `978`, or by its letters, which some banks write instead.
 * @throws InvalidValue for anything else.
 */
export function parseCurrencyNumber(text: string): Currency {
  if (/^[A-Z]{3}$/.test(text)) return parseCurrency(text)
  const currency = BY_NUMBER[text]
  if (currency !== undefined) return currency
  throw new InvalidValue(
    `${shown(text)} is not the number of a currency: ISO 4217 was expected, such as 978 for EUR`,
  )
}
