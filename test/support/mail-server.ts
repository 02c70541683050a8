/** A real SMTP server that keeps what it takes, or refuses. */
import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'

export interface MailServer {
  readonly url: string
  readonly port: number
  /** Whole messages, in the order in which they came. */
  readonly mails: string[]
  readonly recipients: string[]
  /** While true every mail is refused with a passing error. */
  refusing: boolean
  close(): Promise<void>
}

export async function startMailServer(options: SMTPServerOptions = {}): Promise<MailServer> {
  const mails: string[] = []
  const recipients: string[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onMailFrom: (_address, _session, done) =>
      done(
        mailServer.refusing
          ? Object.assign(new Error('come back later'), { responseCode: 451 })
          : null,
      ),
    onData: (stream, session, done) => {
      let text = ''
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
      stream.on('end', () => {
        mails.push(text)
        recipients.push(...session.envelope.rcptTo.map(({ address }) => address))
        done()
      })
    },
    ...options,
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.server.address() as AddressInfo
  const mailServer: MailServer = {
    url: `smtp://127.0.0.1:${port}`,
    port,
    mails,
    recipients,
    refusing: false,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
  return mailServer
}

/** The subject of a message. */
export function subjectOf(mail: string): string {
  return /^Subject: (.*(?:\r?\n[ \t].*)*)/m.exec(mail)?.[1]?.replaceAll(/\r?\n[ \t]/g, ' ') ?? ''
}
