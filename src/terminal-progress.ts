import cliProgress from 'cli-progress'
import type { Progress, ProgressStep } from './progress.ts'

/** Progress on a stream, and the way to take an unfinished bar off the screen. */
export interface TerminalProgress extends Progress {
  /** Ends whatever is still drawn: after a fault a step never says `done`. */
  close(): void
}

/** Elsewhere than on a terminal: the least time between two lines of one step. */
const LINE_EVERY_MS = 5_000

/**
 * Shows steps on a stream (standard error): a bar on a terminal, elsewhere a line now and then and
 * one at the end of each step. Steps may overlap: the bar is that of the step that moved last.
 */
export function createProgress(
  stream: NodeJS.WriteStream,
  options: { nowMs?: () => number; lineEveryMs?: number } = {},
): TerminalProgress {
  return stream.isTTY
    ? barProgress(stream)
    : lineProgress(
        (text) => stream.write(`${text}\n`),
        options.nowMs ?? (() => performance.now()),
        options.lineEveryMs ?? LINE_EVERY_MS,
      )
}

function lineProgress(
  line: (text: string) => void,
  nowMs: () => number,
  lineEveryMs: number,
): TerminalProgress {
  return {
    step: (label, unit, knownTotal) => {
      let value = 0
      let total = knownTotal
      let lastMs = nowMs()
      return {
        advance: (by, newTotal) => {
          value += by
          total = newTotal ?? total
          if (nowMs() - lastMs < lineEveryMs) return
          lastMs = nowMs()
          line(`${label}: ${countText(value, total)} ${unit} so far`)
        },
        done: (outcome) => line(`${label}: ${outcome}`),
      }
    },
    note: line,
    close: () => undefined,
  }
}

function countText(value: number, total: number | undefined): string {
  return total === undefined ? String(value) : `${value} of ${total}`
}

interface DrawnStep {
  readonly label: string
  readonly unit: string
  value: number
  total: number | undefined
}

function barProgress(stream: NodeJS.WriteStream): TerminalProgress {
  /** Steps that are still open; the last one is drawn. */
  const steps: DrawnStep[] = []
  const bar = new cliProgress.SingleBar({
    stream,
    format: (options, { progress }) => {
      const step = steps.at(-1)
      if (step === undefined) return ''
      const { label, unit, value, total } = step
      const shape =
        total === undefined ? '' : ` [${cliProgress.Format.BarFormat(progress, options)}]`
      return `${label}${shape} ${countText(value, total)} ${unit}`
    },
    barsize: 24,
    barCompleteChar: '=',
    barIncompleteChar: ' ',
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
  })
  const draw = (): void => {
    const step = steps.at(-1)
    if (step !== undefined) bar.start(step.total ?? step.value, step.value)
  }
  /** Lines stand above the bar, so it leaves the screen while one is written. */
  const line = (text: string): void => {
    bar.stop()
    stream.write(`${text}\n`)
    draw()
  }
  return {
    step: (label, unit, total): ProgressStep => {
      const step: DrawnStep = { label, unit, value: 0, total }
      steps.push(step)
      bar.stop()
      draw()
      return {
        advance: (by, newTotal) => {
          if (!remove(steps, step)) return
          step.value += by
          step.total = newTotal ?? step.total
          steps.push(step)
          bar.setTotal(step.total ?? step.value)
          bar.update(step.value)
        },
        done: (outcome) => {
          remove(steps, step)
          line(`${label}: ${outcome}`)
        },
      }
    },
    note: line,
    close: () => {
      steps.length = 0
      bar.stop()
    },
  }
}

/** False for a step that has ended: it stays ended. */
function remove(steps: DrawnStep[], step: DrawnStep): boolean {
  const index = steps.indexOf(step)
  if (index === -1) return false
  steps.splice(index, 1)
  return true
}
