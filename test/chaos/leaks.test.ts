/** Who looks for leaks must see them, in whatever a mail wraps them. */
import { expect, test } from 'vitest'
import { createWorld } from '../../src/sandbox/world.ts'
import { leaksIn, secretsOf } from './leaks.ts'

const world = createWorld()
const secrets = secretsOf(world)
const { apiKeys, customers, databasePassword, mailPassword } = secrets
const [apiKey = ''] = apiKeys
const customer = customers.find((name) => /[^ -~]/.test(name)) ?? ''

function base64Lines(text: string): string {
  return Buffer.from(text.padEnd(120, '.')).toString('base64').replaceAll(/.{76}/g, '$&\r\n')
}

function quotedPrintable(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte > 126 ? `=${byte.toString(16).toUpperCase()}` : String.fromCodePoint(byte),
    )
    .join('')
    .replace(/^(.{4})/, '$1=\r\n')
}

test.each([
  ['a key as it is', `started with ${apiKey}`, 'an API key is in it'],
  ['a password', `postgres://alma:${databasePassword}@db`, 'the database password is in it'],
  ['another password', `AUTH ${mailPassword}`, 'the mail password is in it'],
  ['a customer in an attachment', base64Lines(`paid by ${customer}`), 'a customer is in it'],
  ['a customer in a body', quotedPrintable(customer), 'a customer is in it'],
  ['an address of a customer', 'client.12@example.com', 'a customer is in it'],
])('%s is seen', (_, text, sight) => {
  expect(leaksIn(secrets, [['it', text]])).toEqual([sight])
})

test('what is nobody’s secret is none', () => {
  const text = `payout_11xWHrMPGnimx7YuAKTXnRqwnGyAS0yz8W of 12.50 EUR, books@shop.example`
  expect(leaksIn(secrets, [['it', text]])).toEqual([])
})
