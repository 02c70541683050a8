import { PassThrough } from 'node:stream'
import type { WriteStream } from 'node:tty'
import { describe, expect, test } from 'vitest'
import { createProgress, type TerminalProgress } from '../../src/terminal-progress.ts'

/** A stream that remembers, with the methods that a terminal has. */
function recording(isTTY: boolean): { stream: WriteStream; text: () => string } {
  let text = ''
  const stream = Object.assign(new PassThrough(), {
    isTTY,
    columns: 120,
    rows: 40,
    write: (chunk: string) => {
      text += chunk
      return true
    },
  })
  return { stream: stream as unknown as WriteStream, text: () => text }
}

describe('elsewhere than on a terminal', () => {
  function lines(): { progress: TerminalProgress; tick: (ms: number) => void; text: () => string } {
    const { stream, text } = recording(false)
    let nowMs = 0
    const progress = createProgress(stream, { nowMs: () => nowMs, lineEveryMs: 5_000 })
    return {
      progress,
      tick: (ms) => {
        nowMs += ms
      },
      text,
    }
  }

  test('a line now and then, and one at the end', () => {
    const { progress, tick, text } = lines()
    const step = progress.step('ledger of default', 'rows')
    for (let page = 0; page < 100; page += 1) {
      tick(100)
      step.advance(100)
    }
    step.done('10000 rows in 100 pages')
    expect(text()).toBe(
      'ledger of default: 5000 rows so far\n' +
        'ledger of default: 10000 rows so far\n' +
        'ledger of default: 10000 rows in 100 pages\n',
    )
  })

  test('a short step is one line; a known total is named; notes stand by themselves', () => {
    const { progress, tick, text } = lines()
    progress.step('bank files', 'files', 2).done('2 files, 14 entries')
    const step = progress.step('payments', 'payments', 40)
    progress.note('one was not found')
    tick(6_000)
    step.advance(10)
    tick(6_000)
    step.advance(0, 50)
    progress.close()
    expect(text()).toBe(
      'bank files: 2 files, 14 entries\n' +
        'one was not found\n' +
        'payments: 10 of 40 payments so far\n' +
        'payments: 10 of 50 payments so far\n',
    )
  })
})

describe('on a terminal', () => {
  test('a bar while the step runs, one line when it is done, the cursor given back', () => {
    const { stream, text } = recording(true)
    const progress = createProgress(stream)
    const step = progress.step('payments', 'payments', 40)
    expect(text()).toContain('payments [                        ] 0 of 40 payments')
    step.advance(20)
    progress.note('one was not found')
    expect(text()).toMatch(/payments \[={12} {12}\] 20 of 40 payments/)
    expect(text()).toContain('one was not found\n')
    step.done('40 looked at')
    expect(text()).toMatch(/payments: 40 looked at\n$/)
    expect(text().lastIndexOf('\u001B[?25h')).toBeGreaterThan(text().lastIndexOf('\u001B[?25l'))
  })

  test('without a total: a count and no bar', () => {
    const { stream, text } = recording(true)
    const progress = createProgress(stream)
    const step = progress.step('ledger', 'rows')
    step.advance(300)
    progress.note('a note has it drawn anew')
    step.done('300 rows')
    expect(text()).toContain('ledger 300 rows')
    expect(text()).not.toContain('[=')
  })

  test('of two steps at once the one that moved last is drawn, and one that ended stays ended', () => {
    const { stream, text } = recording(true)
    const progress = createProgress(stream)
    const first = progress.step('first', 'rows', 10)
    const second = progress.step('second', 'rows', 10)
    second.done('2nd')
    second.advance(5)
    first.done('1st')
    expect(text()).toMatch(/second: 2nd\n[^]*first[^]*first: 1st\n$/)
    expect(text()).not.toContain('5 of 10')
  })

  test('a step that never ends is taken off the screen', () => {
    const { stream, text } = recording(true)
    const progress = createProgress(stream)
    progress.step('ledger', 'rows', 10).advance(1)
    progress.close()
    expect(text().lastIndexOf('\u001B[?25h')).toBeGreaterThan(text().lastIndexOf('\u001B[?25l'))
    const before = text()
    progress.close()
    expect(text()).toBe(before)
  })
})
