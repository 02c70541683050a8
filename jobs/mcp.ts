/**
 * `mcp`: answers an assistant on standard input and output. Nothing but the protocol is written to
 * standard output; no run is recorded and no lock is taken, so it stands in nobody's way.
 */
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import type { Config } from '../src/config.ts'
import { dayOfInstant } from '../src/domain/day.ts'
import { EXIT, type ExitCode } from '../src/errors.ts'
import { createMcpServer } from '../src/mcp/server.ts'
import type { CommandIo } from './command.ts'
import { failureOf, failureText } from './fault-text.ts'
import { createAnswers } from './mcp-answers.ts'
import { openReading } from './mcp-reading.ts'
import { createReports } from './mcp-reports.ts'
import { appVersion } from './version.ts'

/** One message of the protocol: a question has some hundred bytes. */
const MESSAGE_BYTES_MAX = 1_000_000

/** Ends when standard input does, after what was asked by then is answered. */
export async function mcpCommand(config: Config, io: CommandIo): Promise<ExitCode> {
  const { stdin, stdout } = process
  if (stdin.isTTY) {
    io.progress.note(
      'This speaks the Model Context Protocol with an assistant that starts it; --help shows how. Ctrl-D ends it.',
    )
  }
  const reading = openReading(config, io)
  const today = () => dayOfInstant(Math.floor(io.now().getTime() / 1000), config.businessTimeZone)
  const server = createMcpServer({
    version: appVersion(),
    answers: createAnswers({ config, reading, today }),
    reports: createReports(config, reading),
    onUnexpected: (error) => io.progress.note(failureText(failureOf(error), true).trim(), 'warn'),
  })
  const ended = new Promise<void>((resolve) => {
    stdin.once('end', resolve)
    stdin.once('close', resolve)
    Object.assign(server.server, {
      // It closes by itself after a message that is too long.
      onclose: resolve,
      onerror: ({ name }: Error) =>
        io.progress.note(`a message was not understood (${name})`, 'warn'),
    })
  })
  io.onRelease(() => server.close())
  await server.connect(
    new StdioServerTransport(stdin, stdout, { maxBufferSize: MESSAGE_BYTES_MAX }),
  )
  await ended
  await reading.idle()
  return EXIT.done
}
