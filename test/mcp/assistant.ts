/** An assistant: the SDK's own client, over a real process of ours. */
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CHECKOUT } from '../e2e/job.ts'

const TSX = import.meta.resolve('tsx')

export interface Assistant {
  readonly client: Client
  /** What the process wrote to standard error. */
  readonly said: { err: string }
  /** The answer's structured content; throws what the tool says where it refuses. */
  ask(tool: string, question?: Record<string, unknown>): Promise<Record<string, unknown>>
  /** What the tool says of a question that it refuses. */
  refusal(tool: string, question?: Record<string, unknown>): Promise<string>
}

/** To be ended by `client.close`. */
export async function startAssistant(place: {
  readonly dir: string
  readonly env: Readonly<Record<string, string>>
}): Promise<Assistant> {
  const { PATH = '' } = process.env
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: ['--import', TSX, join(CHECKOUT, 'jobs/cli.ts'), 'mcp'],
    cwd: place.dir,
    env: { PATH, ...place.env },
    stderr: 'pipe',
  })
  const said = { err: '' }
  transport.stderr?.on('data', (chunk: Buffer) => (said.err += chunk.toString()))
  const client = new Client({ name: 'test', version: '1' })
  await client.connect(transport)
  const call = async (tool: string, question: Record<string, unknown>) => {
    const result = await client.callTool({ name: tool, arguments: question })
    const [first] = Array.isArray(result.content) ? (result.content as { text?: string }[]) : []
    return { result, text: first?.text ?? '' }
  }
  return {
    client,
    said,
    ask: async (tool, question = {}) => {
      const { result, text } = await call(tool, question)
      if (result.isError === true) throw new Error(text)
      const answer = result.structuredContent as Record<string, unknown>
      // What a client without schemas reads is the same.
      if (JSON.stringify(answer) !== text) throw new Error('text and structured content differ')
      return answer
    },
    refusal: async (tool, question = {}) => {
      const { result, text } = await call(tool, question)
      if (result.isError !== true) throw new Error(`it was answered: ${text}`)
      return text
    },
  }
}
