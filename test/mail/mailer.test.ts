/** Mail over a real SMTP server in this process: delivery, refusals, and a line that breaks. */
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import type { SMTPServerOptions } from 'smtp-server'
import { afterEach, describe, expect, test } from 'vitest'
import { UnavailableFault } from '../../src/errors.ts'
import { type MailMessage, sendMail } from '../../src/mail/mailer.ts'
import { type MailServer, startMailServer } from '../support/mail-server.ts'

const MESSAGE: MailMessage = {
  messageId: 'abc.2024-W12@alma-reconcile',
  from: 'reconcile@shop.example',
  to: ['books@shop.example', 'cfo@shop.example'],
  subject: 'Alma 2024-W12: 3 open, 1204.50 EUR at stake',
  text: 'Plain\n',
  html: '<p>Page</p>',
  attachments: [
    { name: 'discrepancies.csv', content: 'a,b\n1,2\n', type: 'text/csv; charset=utf-8' },
  ],
}

let stop: (() => Promise<void>) | null = null
afterEach(async () => {
  await stop?.()
  stop = null
})

async function smtp(options: SMTPServerOptions = {}): Promise<MailServer> {
  const server = await startMailServer(options)
  stop = server.close
  return server
}

describe('a mail', () => {
  test('arrives with subject, both texts and attachments, for all recipients', async () => {
    const { port, mails, recipients } = await smtp()
    await sendMail(`smtp://127.0.0.1:${port}`, MESSAGE)
    expect(recipients).toEqual(MESSAGE.to)
    const [mail = ''] = mails
    expect(mail).toContain('Subject: Alma 2024-W12: 3 open, 1204.50 EUR at stake')
    expect(mail).toContain('Message-ID: <abc.2024-W12@alma-reconcile>')
    expect(mail).toContain('multipart/alternative')
    expect(mail).toContain('filename=discrepancies.csv')
    expect(mail).toContain(Buffer.from('a,b\n1,2\n').toString('base64'))
  })

  test('cannot be given further headers by a line break in its subject', async () => {
    const { port, mails } = await smtp()
    await sendMail(`smtp://127.0.0.1:${port}`, {
      ...MESSAGE,
      subject: 'x\r\nBcc: thief@evil.example',
    })
    expect(mails[0]).not.toMatch(/^Bcc:/m)
  })

  test('that the server refuses is a fault with its words', async () => {
    const { port } = await smtp({
      onMailFrom: (_address, _session, done) =>
        done(Object.assign(new Error('not today'), { responseCode: 451 })),
    })
    await expect(sendMail(`smtp://127.0.0.1:${port}`, MESSAGE)).rejects.toThrow(/not today/)
  })

  test('of which one recipient is refused is a fault', async () => {
    const { port, recipients } = await smtp({
      onRcptTo: ({ address }, _session, done) =>
        done(address.startsWith('cfo') ? new Error('no such user') : null),
    })
    await expect(sendMail(`smtp://127.0.0.1:${port}`, MESSAGE)).rejects.toThrow(
      /refused 1 of 2 recipients/,
    )
    expect(recipients).toEqual(['books@shop.example'])
  })

  test('with a wrong password is a fault that does not hold it', async () => {
    const { port } = await smtp({
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: (_auth, _session, done) => done(new Error('bad credentials')),
    })
    const sending = sendMail(`smtp://me:hunter2@127.0.0.1:${port}`, MESSAGE)
    await expect(sending).rejects.toThrow(UnavailableFault)
    await expect(sending).rejects.toThrow(/name or password/)
    await expect(sending).rejects.not.toThrow(/hunter2/)
  })

  test('whose line breaks in the middle is a fault', async () => {
    const server: Server = createServer((socket) => {
      socket.write('220 ready\r\n')
      socket.on('data', (chunk) => {
        if (chunk.toString().startsWith('MAIL')) socket.destroy()
        else socket.write('250 ok\r\n')
      })
      socket.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    stop = () => new Promise((resolve) => server.close(() => resolve()))
    const { port } = server.address() as AddressInfo
    await expect(sendMail(`smtp://127.0.0.1:${port}`, MESSAGE)).rejects.toThrow(UnavailableFault)
  })

  test('with nobody listening is a fault that names the server', async () => {
    await expect(sendMail('smtp://127.0.0.1:1', MESSAGE)).rejects.toThrow(/127\.0\.0\.1:1/)
  })
})
