/**
 * `npm run judge`: the proof of judgement. Clean worlds by seed, one to five breaks in each, and the
 * table of what was found; it fails unless everything was found and nothing was invented.
 */
import { Command, InvalidArgumentError } from 'commander'
import { EXIT } from '../src/errors.ts'
import {
  type CodeScore,
  isPerfect,
  planTrial,
  runTrial,
  scoreTrials,
  type TrialOutcome,
} from '../src/sandbox/trial.ts'
import { createProgress } from '../src/terminal-progress.ts'

interface Flags {
  seeds: number
  first: number
  seed?: number
}

function whole(text: string): number {
  const number = Number(text)
  if (!/^\d{1,6}$/.test(text) || number < 1) {
    throw new InvalidArgumentError('A whole number from 1 to 999999 was expected.')
  }
  return number
}

function judge({ seeds, first, seed }: Flags): void {
  const progress = createProgress(process.stderr)
  const step = progress.step('judging', 'worlds', seed === undefined ? seeds : 1)
  const numbers = seed === undefined ? Array.from({ length: seeds }, (_, at) => first + at) : [seed]
  const startedMs = performance.now()
  const outcomes = numbers.map((number) => {
    const outcome = runTrial(planTrial(number))
    step.advance(1)
    return outcome
  })
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  step.done(`${outcomes.length} worlds in ${seconds} s`)
  const failures = outcomes.filter((outcome) => !isPerfect(outcome))
  process.stdout.write(
    [
      ...tableOf(scoreTrials(outcomes)),
      ...(seed === undefined ? [] : storyOf(outcomes)),
      ...failures.flatMap(failureText),
      failures.length === 0
        ? `All breaks of ${outcomes.length} worlds were found under their keys, and nothing else.`
        : `${failures.length} of ${outcomes.length} worlds were judged wrongly.`,
      '',
    ].join('\n'),
  )
  if (failures.length > 0) process.exitCode = EXIT.unexpected
}

/** A share of two counts with two decimals, cut so that only a whole is 1.00. */
function share(part: number, all: number): string {
  if (all === 0) return '-'
  const hundredths = Math.floor((100 * part) / all)
  return `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, '0')}`
}

function tableOf(scores: readonly CodeScore[]): string[] {
  const titles = ['code', 'planted', 'found', 'missed', 'invented', 'precision', 'recall']
  const rows = scores.map(({ code, planted, found, missed, invented }) => [
    code,
    ...[planted, found, missed, invented].map(String),
    share(found, found + invented),
    share(found, planted),
  ])
  const widths = titles.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => (row[at] ?? '').length)),
  )
  return [titles, ...rows].map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  '),
  )
}

/** What was planted in one world and how the report tells it. */
function storyOf(outcomes: readonly TrialOutcome[]): string[] {
  return outcomes.flatMap(({ planted, found }) => [
    '',
    ...planted.map(({ code, entity, story }) => `planted  ${code} (${entity}): ${story}`),
    ...found.map(({ code, entity, explanation }) => `found    ${code} (${entity}): ${explanation}`),
    '',
  ])
}

function failureText({ seed, missed, invented, controlFaults }: TrialOutcome): string[] {
  return [
    `Seed ${seed} (npm run judge -- --seed ${seed}):`,
    ...missed.map((name) => `  missed    ${name}`),
    ...invented.map((name) => `  invented  ${name}`),
    ...controlFaults.map((fault) => `  totals    ${fault}`),
  ]
}

const program = new Command('npm run judge --')
  .description('Plants breaks into clean worlds and demands exactly these findings.')
  .option('--seeds <number>', 'how many worlds', whole, 40)
  .option('--first <number>', 'the first of them', whole, 1)
  .option('--seed <number>', 'one world, told in words', whole)
  .addHelpText(
    'after',
    `
Examples:
  npm run judge -- --seeds 500
  npm run judge -- --seed 17

Exit code 0 if every break was found under its key and nothing else, 1 if not.`,
  )
  .action(judge)
  .exitOverride()

try {
  program.parse()
} catch (error) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!code.startsWith('commander.')) throw error
  // Commander has said already what was wrong with the command line, or printed the help.
  process.exitCode = code === 'commander.helpDisplayed' ? EXIT.done : EXIT.usage
}
