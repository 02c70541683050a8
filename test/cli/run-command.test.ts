import { describe, expect, test } from 'vitest'
import type { CommandIo } from '../../jobs/command.ts'
import { type CliIo, Interruption, runCommand } from '../../jobs/run-command.ts'
import { EXIT, type ExitCode, InputFault } from '../../src/errors.ts'

interface Watched {
  readonly io: CliIo
  readonly stop: AbortController
  /** Everything that happened, in order. */
  readonly events: string[]
}

function watched(): Watched {
  const events: string[] = []
  const stop = new AbortController()
  const io: CliIo = {
    cwd: '/place',
    out: (text) => events.push(`out ${text}`),
    err: (text) => events.push(`err ${text}`),
    progress: {
      step: (label) => ({
        advance: () => events.push(`advance ${label}`),
        done: (outcome) => events.push(`done ${label} ${outcome}`),
      }),
      note: (text) => events.push(`note ${text}`),
      close: () => undefined,
    },
    now: () => new Date(0),
    signal: stop.signal,
  }
  return { io, stop, events }
}

const plain = { json: false, debug: false }

function releasing(io: CommandIo, events: string[], ...names: string[]): void {
  for (const name of names) {
    io.onRelease(async () => {
      events.push(`release ${name}`)
    })
  }
}

test('a command that ends gives back what it took, in reverse order', async () => {
  const { io, events } = watched()
  const exitCode = await runCommand(io, plain, async (commandIo) => {
    releasing(commandIo, events, 'server', 'pool', 'lock')
    commandIo.out('done\n')
    return EXIT.openDiscrepancies
  })
  expect(exitCode).toBe(8)
  expect(events).toEqual(['out done\n', 'release lock', 'release pool', 'release server'])
})

describe('a command that fails', () => {
  const failing = async (io: CommandIo, events: string[]): Promise<ExitCode> => {
    releasing(io, events, 'pool')
    throw new InputFault('a.xml, line 3: found "x", expected a day', { hint: 'Fetch it again.' })
  }

  test('says what is wrong and what to do, gives back what it took, exits with the fault’s code', async () => {
    const { io, events } = watched()
    expect(await runCommand(io, plain, (commandIo) => failing(commandIo, events))).toBe(5)
    expect(events).toEqual([
      'err a.xml, line 3: found "x", expected a day\n→ Fetch it again.\n',
      'release pool',
    ])
  })

  test('with --json: one document on standard output all the same', async () => {
    const { io, events } = watched()
    await runCommand(io, { json: true, debug: false }, (commandIo) => failing(commandIo, events))
    const printed = events.filter((event) => event.startsWith('out '))
    expect(printed).toHaveLength(1)
    expect(JSON.parse(printed[0]?.slice(4) ?? '')).toEqual({
      error: {
        kind: 'InputFault',
        exit_code: 5,
        message: 'a.xml, line 3: found "x", expected a day',
        hint: 'Fetch it again.',
      },
    })
  })

  test('with --json after its result: no second document', async () => {
    const { io, events } = watched()
    await runCommand(io, { json: true, debug: false }, async (commandIo) => {
      commandIo.out('{}\n')
      return failing(commandIo, [])
    })
    expect(events.filter((event) => event.startsWith('out '))).toEqual(['out {}\n'])
  })

  test('for no reason it knows: exit 1, the stack only when asked for, never a statement’s parameters', async () => {
    const broken = async (): Promise<ExitCode> => {
      throw new Error('Failed query: select 1\nparams: FR7612345')
    }
    const quiet = watched()
    expect(await runCommand(quiet.io, plain, broken)).toBe(1)
    expect(quiet.events.join()).toContain('unexpected: Failed query: select 1\n→ ')
    expect(quiet.events.join()).not.toMatch(/FR7612345|at broken/)
    const loud = watched()
    await runCommand(loud.io, { json: false, debug: true }, broken)
    expect(loud.events.join()).toMatch(/at broken/)
    expect(loud.events.join()).not.toContain('FR7612345')
  })

  test.each([
    ['EACCES', 'open', 3],
    ['ENOTDIR', 'open', 3],
    ['ENOENT', 'mkdir', 3],
    ['ENOENT', 'open', 1],
    ['ENOSPC', 'open', 4],
    ['EBUSY', 'open', 4],
    ['EUNKNOWN', 'open', 1],
  ])('in the file system with %s of %s: exit %i', async (code, syscall, exitCode) => {
    const { io, events } = watched()
    const error = Object.assign(new Error(`${code}: ${syscall} '/data/x'`), {
      code,
      syscall,
      path: '/data/x',
    })
    expect(await runCommand(io, plain, () => Promise.reject(error))).toBe(exitCode)
    expect(events.join()).toContain('/data/x')
  })

  test('while giving back: the rest is given back, and success becomes failure', async () => {
    const { io, events } = watched()
    const exitCode = await runCommand(io, plain, async (commandIo) => {
      releasing(commandIo, events, 'server')
      commandIo.onRelease(() => Promise.reject(new Error('stuck')))
      return EXIT.done
    })
    expect(exitCode).toBe(1)
    expect(events[0]).toBe('release server')
    expect(events[1]).toContain('unexpected: stuck')
  })
})

describe('a command that is interrupted', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s gives back what it took and exits with %i', async (signal, exitCode) => {
    const { io, stop, events } = watched()
    const running = runCommand(io, plain, (commandIo) => {
      releasing(commandIo, events, 'server', 'pool')
      return new Promise<ExitCode>((_, reject) => {
        commandIo.signal.addEventListener('abort', () => reject(new Error('connection lost')))
      })
    })
    stop.abort(new Interruption(signal))
    expect(await running).toBe(exitCode)
    expect(events).toEqual([
      expect.stringMatching(new RegExp(`^err stopped by ${signal}`)),
      'release pool',
      'release server',
    ])
  })

  test('with --json: one document that says so', async () => {
    const { io, stop, events } = watched()
    stop.abort(new Interruption('SIGINT'))
    await runCommand(io, { json: true, debug: false }, () => new Promise<ExitCode>(() => undefined))
    const printed = events.filter((event) => event.startsWith('out '))
    expect(JSON.parse(printed.join().slice(4))).toMatchObject({
      error: { kind: 'Interruption', exit_code: 130 },
    })
  })

  test('while it is still opening something gives that back too', async () => {
    const { io, stop, events } = watched()
    const running = runCommand(io, plain, async (commandIo) => {
      const step = commandIo.progress.step('server', 'files')
      await new Promise((resolve) => setTimeout(resolve, 50))
      releasing(commandIo, events, 'late')
      step.advance(1)
      step.done('started')
      commandIo.progress.note('still here')
      commandIo.progress.step('more', 'files').done('done')
      commandIo.out('result')
      return EXIT.done
    })
    stop.abort(new Interruption('SIGTERM'))
    expect(await running).toBe(143)
    // It says nothing any more: the person was told that it stopped.
    expect(events).toEqual([expect.stringMatching(/^err stopped by SIGTERM/), 'release late'])
  })

  test('and does not notice is not waited for, its resources are taken away', async () => {
    const { io, stop, events } = watched()
    const running = runCommand(io, plain, (commandIo) => {
      releasing(commandIo, events, 'pool')
      return new Promise<ExitCode>(() => undefined)
    })
    stop.abort(new Interruption('SIGINT'))
    expect(await running).toBe(130)
    expect(events.at(-1)).toBe('release pool')
  })
})
