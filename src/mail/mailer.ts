import { Readable } from 'node:stream'
import { createTransport } from 'nodemailer'
import { UnavailableFault } from '../errors.ts'

/** A message with its attachments; texts are complete, nothing is added here. */
export interface MailMessage {
  /** `Message-ID` without brackets: the same for the same content, so that a repeat can be recognised. */
  readonly messageId: string
  readonly from: string
  readonly to: readonly string[]
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly attachments: readonly {
    readonly name: string
    /** Whole, or in pieces where it may be too long to be held. */
    readonly content: string | Iterable<string>
    readonly type: string
  }[]
}

const CONNECT_TIMEOUT_MS = 10_000
const SILENCE_TIMEOUT_MS = 30_000

/**
 * Sends a message over SMTP. TLS is as the URL says (`smtps:` from the start, `smtp:` by STARTTLS
 * where offered); a name and password are sent to another machine only over TLS.
 * @throws UnavailableFault if the server cannot be reached, refuses the message, or refuses any of
 * the recipients: then the message counts as not delivered to all.
 */
export async function sendMail(smtpUrl: string, message: MailMessage): Promise<void> {
  const url = new URL(smtpUrl)
  const transport = createTransport({
    url: smtpUrl,
    requireTLS: url.username !== '' && !isLoopback(url.hostname),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  try {
    const sent = await transport.sendMail({
      messageId: `<${message.messageId}>`,
      from: message.from,
      to: [...message.to],
      subject: message.subject,
      text: message.text,
      html: message.html,
      attachments: message.attachments.map(({ name, content, type }) => ({
        filename: name,
        content: typeof content === 'string' ? content : Readable.from(content),
        contentType: type,
      })),
    })
    if (sent.rejected.length > 0) {
      throw notSent(
        url,
        `it refused ${sent.rejected.length} of ${message.to.length} recipients; the others have it`,
      )
    }
  } catch (error) {
    throw error instanceof UnavailableFault ? error : notSent(url, whatItSaid(error))
  } finally {
    transport.close()
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
}

/** The server's code and words; never what we sent to it, which may hold the password. */
function whatItSaid(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason was given'
  const { code, responseCode, response } = error as {
    code?: string
    responseCode?: number
    response?: string
  }
  if (code === 'EAUTH') return `it refused the name or password (${responseCode ?? code})`
  if (typeof response === 'string') return `it answered "${response.split('\n')[0]?.slice(0, 200)}"`
  return code ?? 'the connection broke'
}

function notSent({ hostname, port }: URL, why: string): UnavailableFault {
  return new UnavailableFault(
    `the mail server ${hostname}${port === '' ? '' : `:${port}`} did not take the mail: ${why}`,
    {
      hint: 'The reports are written and kept. The next night tries again; npm run doctor checks SMTP_URL.',
    },
  )
}
