import { onTestFinished } from 'vitest'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts'
import { DEMO_API_KEY, type SandboxAccount, type SandboxWorld } from '../../src/sandbox/world.ts'

/** A sandbox that ends with its test. */
export async function sandboxOf(options: SandboxOptions): Promise<Sandbox> {
  const sandbox = await startSandbox(options)
  onTestFinished(() => sandbox.close())
  return sandbox
}

export function firstAccount(world: SandboxWorld): SandboxAccount {
  const account = world.accounts[0]
  if (account === undefined) throw new Error('the world has no account')
  return account
}

export const KEY = { authorization: `Alma-Auth ${DEMO_API_KEY}` }

export async function ask(
  sandbox: Sandbox,
  path: string,
  headers: Record<string, string> = KEY,
): Promise<Response> {
  return await fetch(sandbox.url + path, { headers })
}

export interface Page {
  data: { id: string; created: number; kind: string; [attribute: string]: unknown }[]
  has_more: boolean
}

export async function page(sandbox: Sandbox, path: string): Promise<Page> {
  const answer = await ask(sandbox, path)
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  const body: Page = JSON.parse(await answer.text())
  return body
}
