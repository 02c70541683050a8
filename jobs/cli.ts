/**
 * The command line. It reads flags and settings, hands them to a command, and turns what comes back
 * into text and an exit code. Standard output holds the result that was asked for (the summary, help,
 * what `doctor` found), standard error everything else. With `--json` standard output holds exactly
 * one JSON document: the result, or `{ "error": … }` with the fault's text and exit code.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import type { Config, Environment } from '../src/config.ts'
import { dayOfInstant } from '../src/domain/day.ts'
import { EXIT, type ExitCode, UsageFault } from '../src/errors.ts'
import type { CommandIo, DecideFlags, ReconcileFlags } from './command.ts'
import {
  readCloseFlags,
  readPairFlags,
  readPurgeFlags,
  readReopenFlags,
  readSuspectFlags,
  readVerdictFlags,
  type TypedCloseFlags,
  type TypedPairFlags,
  type TypedPurgeFlags,
  type TypedReopenFlags,
  type TypedSuspectFlags,
  type TypedVerdictFlags,
} from './decide-flags.ts'
import { failureJson, failureOf, failureText } from './fault-text.ts'
import {
  readAsOf,
  readPath,
  readReconcileFlags,
  readWorkers,
  type TypedReconcileFlags,
} from './reconcile-flags.ts'
import { type CliIo, Interruption, runCommand, tellFailure } from './run-command.ts'
import { appVersion } from './version.ts'
import { readWebhookFlags, type TypedWebhookFlags } from './webhook-flags.ts'

const EXIT_CODES = `
Exit codes:
  0  done, with or without discrepancies
  1  unexpected: a fault of the program
  2  usage: the command line was not understood
  3  configuration: a setting is missing or wrong, or the provider refuses the key
  4  provider, database, bank inbox or mail unavailable after retries: try again later
  5  an input file was rejected; the others went in
  6  another run holds the lock
  7  control totals do not tie: nothing was sent
  8  with --fail-on-discrepancy: something is open
  130, 143  stopped by SIGINT or SIGTERM`

const SETTINGS = `
Settings come from the environment or from a .env file: .env.example explains each,
npm run doctor checks them. npm run demo needs none.`

const RECONCILE_EXAMPLES = `
Examples:
  npm run reconcile -- --week 2024-W12
  npm run reconcile -- --month 2024-03 --as-of 2024-04-15
  npm run reconcile -- --from 2024-03-18 --to 2024-03-24 --entity Shop
  npm run reconcile -- --week 2024-W12 --bank statement.xml --bank more.csv
  npm run reconcile -- --touched
  npm run reconcile -- --week 2024-W12 --offline --dry-run --json
  npm run reconcile -- --week 2024-W12 --offline --dry-run --set MATCH_WINDOW_DAYS=7`

const IMPORT_EXAMPLES = `
Examples:
  npm run import-bank -- statement.xml
  npm run import-bank -- downloads/*.xml --dry-run
  npm run import-bank -- operations.csv --account FR7630006000011234567890189
  npm run import-bank -- operations.csv --format csv --profile credit-mutuel-cic`

/** The flags of `import-bank` as they were typed. */
interface TypedImportFlags {
  readonly format?: string
  readonly profile?: string
  readonly account?: string
  readonly dryRun?: true
  readonly json?: true
}

const DECIDE_EXAMPLES = `
Examples:
  npm run decide -- match --payout payout_11k… --bank 2024032000012 --by Marie --reason "payment advice of 20 March"
  npm run decide -- refuse --payout payout_11k… --bank 2024032000012 --by Marie --reason "belongs to the other shop"
  npm run decide -- accept --discrepancy disc_0123456789abcdef --by Marie --reason "bank charge, booked"
  npm run decide -- reopen --discrepancy disc_0123456789abcdef --by Marie --reason "Alma paid after all"
  npm run decide -- admit --bank march.csv:14 --by Marie --reason "two payments of one amount, asked the bank"`

const CLOSE_EXAMPLES = `
Examples:
  npm run close -- --week 2024-W12 --by Marie
  npm run reopen -- --week 2024-W12 --by Marie --reason "the bank sent a corrected statement"`

const NIGHTLY_EXAMPLES = `
Examples:
  npm run nightly
  npm run nightly -- --as-of 2024-03-25
  npm run nightly -- --workers 4`

const FULL_HELP =
  'prove the whole ledger anew instead of what changed since the last proof; the result is the same'

const TOUCHED_HELP =
  'of the provider read only what its notifications and open rows ask for; without a period the week in progress'

const WORKERS_HELP =
  'fetch this many entities at a time, and share them with every process started alike, here or on other machines'

const EXPLAIN_EXAMPLES = `
Examples:
  npm run explain -- payout_11xWHrMPGnimx7YuAKTXnRqwnGyAS0yz8W
  npm run explain -- disc_0123456789abcdef --as-of 2024-04-05`

const METRICS_EXAMPLES = `
Examples:
  npm run metrics
  npm run --silent metrics -- --json
  npm run metrics -- --textfile /var/lib/node_exporter/textfile/alma.prom`

const MCP_EXAMPLES = `
An assistant starts it by itself; its configuration holds something like
  { "mcpServers": { "alma": { "command": "npm",
      "args": ["--prefix", "/path/to/this/folder", "run", "--silent", "mcp"] } } }`

const WEBHOOKS_EXAMPLES = `
Examples:
  npm run webhooks -- register --url https://books.example.com/alma
  npm run webhooks -- register --url https://books.example.com/alma --events payment.captured,payment.canceled --entity Shop`

const PURGE_EXAMPLES = `
Examples:
  npm run purge -- --before 2014-01-01 --by Marie --dry-run
  npm run purge -- --before 2014-01-01 --by Marie`

const BACKUP_EXAMPLES = `
Examples:
  npm run backup -- alma-2024-03-25.sql.gz
  DATA_DIR=moved npm run restore -- alma-2024-03-25.sql.gz
  DATABASE_URL=postgres://… npm run restore -- alma-2024-03-25.sql.gz`

/** What one parsed command line asks for. */
type Request = (io: CommandIo) => Promise<ExitCode>

/**
 * @param argv what follows the program's name, e.g. `['reconcile', '--week', '2024-W12']`.
 * @param env the process's environment; a `.env` file in `io.cwd` is added to it.
 * @returns the exit code; nothing is thrown.
 */
export async function runCli(
  argv: readonly string[],
  env: Environment,
  io: CliIo,
): Promise<number> {
  const debug = (env['DEBUG'] ?? '') !== ''
  const json = argv.includes('--json')
  let request: Request | null = null
  const program = defineProgram(env, io, (asked) => {
    request = asked
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done
    const failure =
      error instanceof CommanderError
        ? failureOf(new UsageFault(error.message.replace(/^error: /, '')))
        : failureOf(error)
    if (!(error instanceof CommanderError)) tellFailure(io, failure, debug)
    if (json) io.out(failureJson(failure))
    return failure.exitCode
  }
  if (request === null) return EXIT.usage
  const exitCode = await runCommand(io, { json, debug }, request)
  // To be stopped is what these wait for.
  const isToBeStopped = argv[0] === 'schedule' || argv[0] === 'listen'
  return isToBeStopped && io.signal.reason instanceof Interruption ? EXIT.done : exitCode
}

function defineProgram(env: Environment, io: CliIo, ask: (request: Request) => void): Command {
  const program = new Command('alma-reconcile')
    .description("Reconciles a merchant's Alma account: ledger, exports, payouts, bank, refunds.")
    .version(appVersion())
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .showHelpAfterError(
      '→ Run it with --help to see what it takes, with examples. Under npm run, flags follow two dashes: npm run reconcile -- --week 2024-W12',
    )
    .addHelpText('after', RECONCILE_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)

  const settings = (): Promise<Config> => readSettings(env, io)

  program
    .command('reconcile')
    .summary('one period, start to end')
    .description(
      'Brings the ledger up to date, fetches the exports of the period, imports new bank files, matches, and writes the reports.',
    )
    .option('--week <week>', 'an ISO week, such as 2024-W12', once)
    .option('--month <month>', 'a month, such as 2024-03', once)
    .option('--from <day>', 'the first day of a range', once)
    .option('--to <day>', 'the last day of the range, itself included', once)
    .option('--entity <name>', 'one entity only (default: all)', once)
    .option('--as-of <day>', 'the day that counts as today (default: today)', once)
    .option('--offline', 'fetch nothing, match what is stored')
    .option('--bank <file>', 'a bank file besides the inbox; may be given several times', each)
    .option('--out <dir>', 'write to DIR/<period>/ instead of REPORTS_DIR', once)
    .option('--mail', 'send the report as well')
    .option('--fec', 'write the journal as a French FEC file as well')
    .option('--dry-run', 'store, mail and write nothing; print what would change')
    .option(
      '--set <setting>',
      'NAME=VALUE: with --dry-run, print what would move between matched and open under this policy setting; may be given several times',
      each,
    )
    .option('--touched', TOUCHED_HELP)
    .option('--plans', 'ask which payment plans may be sold, as a night does')
    .option('--full', FULL_HELP)
    .option('--json', 'print the summary as JSON on standard output, and nothing else there')
    .option('--fail-on-discrepancy', 'exit with 8 instead of 0 when something is open')
    .option('--workers <number>', WORKERS_HELP, once)
    .addHelpText('after', RECONCILE_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: TypedReconcileFlags) => {
      const flagsIn = (zone: string): ReconcileFlags =>
        readReconcileFlags(typed, io.cwd, dayOfInstant(io.now().getTime() / 1000, zone))
      // What is wrong with the command line is told before the settings are read.
      flagsIn('UTC')
      ask(async (commandIo) => {
        const config = await settings()
        const flags = flagsIn(config.businessTimeZone)
        checkEntity(flags.entity, config)
        const tried = flags.set === undefined ? null : await triedSettings(env, io, flags.set)
        const { reconcileCommand } = await import('./reconcile-command.ts')
        return reconcileCommand(config, flags, commandIo, tried)
      })
    })

  program
    .command('import-bank')
    .summary('bank files only')
    .description(
      'Takes in bank files of any format that is read, recognised by content, and tells of each what it is and what was new.',
    )
    .argument('<files...>', 'bank files')
    .option('--format <format>', 'read them as this format, whatever they look like', once)
    .option('--profile <name>', 'read CSV files by this profile, whatever their columns', once)
    .option('--account <iban>', 'the account of which they are, where they do not name it', once)
    .option('--dry-run', 'store nothing; print what would go in')
    .option('--json', 'print the outcome as JSON on standard output, and nothing else there')
    .addHelpText('after', IMPORT_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: readonly string[], flags: TypedImportFlags) => {
      const files = typed.map((path) => readPath('FILE', path, io.cwd))
      ask(async (commandIo) => {
        const config = await settings()
        const { importBankCommand } = await import('./compose.ts')
        return importBankCommand(
          config,
          {
            files,
            format: flags.format ?? null,
            profile: flags.profile ?? null,
            account: flags.account ?? null,
            dryRun: flags.dryRun ?? false,
            json: flags.json ?? false,
          },
          commandIo,
        )
      })
    })

  program
    .command('nightly')
    .summary('what cron runs once a night')
    .description(
      'Reconciles the week in progress and every earlier week that still has open items, then mails what is new.',
    )
    .option('--as-of <day>', "that day's night (default: today)", once)
    .option('--full', FULL_HELP)
    .option('--workers <number>', WORKERS_HELP, once)
    .addHelpText('after', NIGHTLY_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: { asOf?: string; workers?: string; full?: true }) => {
      const flags = {
        asOf: readAsOf(typed.asOf),
        workers: readWorkers(typed.workers),
        full: typed.full ?? false,
      }
      ask(async (commandIo) => {
        const config = await settings()
        const { nightlyCommand } = await import('./nightly.ts')
        return nightlyCommand(config, flags, commandIo)
      })
    })

  program
    .command('schedule')
    .summary('stay up and run nightly by the clock')
    .description(
      'Stays up and runs nightly at NIGHTLY_CRON in BUSINESS_TIME_ZONE, never two at once. SIGTERM ends it cleanly.',
    )
    .addHelpText('after', EXIT_CODES + '\n' + SETTINGS)
    .action(() => {
      ask(async (commandIo) => {
        const config = await settings()
        const { scheduleCommand, stopWithNpm } = await import('./schedule.ts')
        stopWithNpm(env['npm_lifecycle_event'] === 'schedule')
        return scheduleCommand(config, commandIo, () => runCli(['nightly'], env, io))
      })
    })

  program
    .command('listen')
    .summary('take the notifications of the provider')
    .description(
      'Stays up and takes what the provider tells by itself, at LISTEN_PORT of LISTEN_HOST: the IPN, checked with the API key, and webhooks, checked with WEBHOOK_KEY. Each is stored once and marks its payment for reconcile --touched and the next night. SIGTERM ends it cleanly.',
    )
    .addHelpText('after', EXIT_CODES + '\n' + SETTINGS)
    .action(() => {
      ask(async (commandIo) => {
        const config = await settings()
        const { stopWithNpm } = await import('./schedule.ts')
        stopWithNpm(env['npm_lifecycle_event'] === 'listen')
        const { listenCommand } = await import('./listen.ts')
        return listenCommand(config, commandIo)
      })
    })

  const webhooks = program
    .command('webhooks')
    .summary('have the provider send webhooks')
    .description('Has the provider send webhooks to an address, where the account may do so.')
    .addHelpText('after', WEBHOOKS_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
  webhooks
    .command('register')
    .summary('one webhook for each type of event')
    .description('Asks the provider for one webhook for each type of event.')
    .requiredOption('--url <url>', 'where the provider reaches listen, https', once)
    .option('--events <types>', 'types of events, separated by commas (default: all known)', once)
    .option('--entity <name>', 'one entity only (default: all)', once)
    .option('--json', 'print the outcome as JSON on standard output, and nothing else there')
    .addHelpText('after', WEBHOOKS_EXAMPLES)
    .action((typed: TypedWebhookFlags) => {
      const flags = readWebhookFlags(typed)
      ask(async (commandIo) => {
        const config = await settings()
        checkEntity(flags.entity, config)
        const { registerWebhooksCommand } = await import('./webhooks.ts')
        return registerWebhooksCommand(config, flags, commandIo)
      })
    })

  program
    .command('explain')
    .summary('everything known about one id')
    .description(
      'Tells everything that is stored about one payout, balance transaction, payment, refund, bank reference or discrepancy: the rows, the match, the rule and its evidence, the lines that came close and what stopped each, decisions, reports. Fetches, stores and pins nothing.',
    )
    .argument('<id>', 'the id, as the reports print it')
    .option('--as-of <day>', 'the day that counts as today (default: today)', once)
    .option('--json', 'print it as JSON on standard output, and nothing else there')
    .addHelpText('after', EXPLAIN_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((id: string, typed: { asOf?: string; json?: true }) => {
      const asOf = readAsOf(typed.asOf)
      ask(async (commandIo) => {
        const config = await settings()
        const { explainCommand } = await import('./explain.ts')
        return explainCommand(config, { id, asOf, json: typed.json ?? false }, commandIo)
      })
    })

  program
    .command('metrics')
    .summary('how the last periods went')
    .description(
      'Prints for the last 12 weeks, months and ranges that have a report: payouts matched without a human, days to clear, the oldest open item, residuals, late deposits, corrections of matches.',
    )
    .option('--entity <name>', 'one entity only (default: all)', once)
    .option('--textfile <path>', 'write them for Prometheus as well, whole or not at all', once)
    .option('--json', 'print them as JSON on standard output, and nothing else there')
    .addHelpText('after', METRICS_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: { entity?: string; textfile?: string; json?: true }) => {
      const { entity = null, textfile } = typed
      const path = textfile === undefined ? null : readPath('--textfile', textfile, io.cwd)
      ask(async (commandIo) => {
        const config = await settings()
        checkEntity(entity, config)
        const { metricsCommand } = await import('./metrics.ts')
        const flags = { entity, json: typed.json ?? false, textfile: path }
        return metricsCommand(config, flags, commandIo)
      })
    })

  program
    .command('mcp')
    .summary('answer the questions of an assistant')
    .description(
      'A Model Context Protocol server on standard input and output, for the assistants that finance people use. It only reads what is stored, starts no run, and stands in the way of none. Ends with its input.',
    )
    .addHelpText('after', MCP_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action(() => {
      ask(async (commandIo) => {
        const config = await settings()
        const { mcpCommand } = await import('./mcp.ts')
        return mcpCommand(config, commandIo)
      })
    })

  const decide = program
    .command('decide')
    .summary(
      'confirm or refuse a match, accept or reopen a discrepancy, admit or dismiss a suspect',
    )
    .description(
      'Records what a person decided, with name and reason. Nothing is ever changed or removed: the latest decision on a subject counts, in every report from then on.',
    )
    .addHelpText('after', DECIDE_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
  const askDecide = (flags: DecideFlags): void =>
    ask(async (commandIo) => {
      const config = await settings()
      if ('entity' in flags) checkEntity(flags.entity, config)
      const { decideCommand } = await import('./decide.ts')
      return decideCommand(config, flags, commandIo)
    })
  for (const [kind, summary] of [
    ['match', 'these bank lines are this payout'],
    ['refuse', 'this bank line is not this payout, whatever a rule may say'],
  ] as const) {
    signed(decide.command(kind).summary(summary).description(`Records: ${summary}.`))
      .requiredOption(
        '--payout <id>',
        kind === 'match'
          ? 'the payout, or several that came as one line, separated by commas'
          : 'the payout',
        once,
      )
      .requiredOption(
        '--bank <ref>',
        'bank_reference of the line or lines, separated by commas; FILE:LINE, REF@ACCOUNT or REF@DAY where several share it',
        once,
      )
      .option('--entity <name>', 'whose payout it is, where two have the same id', once)
      .addHelpText('after', DECIDE_EXAMPLES)
      .action((typed: TypedPairFlags) => askDecide(readPairFlags(kind, typed)))
  }
  for (const [kind, summary] of [
    ['accept', 'this discrepancy is written off'],
    ['reopen', 'this discrepancy was accepted and is open again'],
  ] as const) {
    signed(decide.command(kind).summary(summary).description(`Records: ${summary}.`))
      .requiredOption('--discrepancy <id>', 'discrepancy_id of a report', once)
      .addHelpText('after', DECIDE_EXAMPLES)
      .action((typed: TypedVerdictFlags) => askDecide(readVerdictFlags(kind, typed)))
  }
  for (const [kind, summary] of [
    ['admit', 'this suspected bank line is money of its own, and is taken in'],
    ['dismiss', 'this suspected bank line is known from another file in other words'],
  ] as const) {
    signed(decide.command(kind).summary(summary).description(`Records: ${summary}.`))
      .requiredOption(
        '--bank <ref>',
        'FILE:LINE of the suspected line or lines, separated by commas, as the report names them',
        once,
      )
      .addHelpText('after', DECIDE_EXAMPLES)
      .action((typed: TypedSuspectFlags) => askDecide(readSuspectFlags(kind, typed)))
  }

  ofPeriod(program.command('close'))
    .summary('sign a period off')
    .description(
      'Freezes the report of a period that is over and whose totals tie. From then on its files stay as they are, and later changes are reported as late_change. Open items carry over.',
    )
    .requiredOption('--by <name>', 'who signs', once)
    .option('--reason <text>', 'anything worth keeping with it', once)
    .option('--as-of <day>', 'the day that counts as today (default: today)', once)
    .option('--out <dir>', 'the report is in DIR/<period>/ instead of REPORTS_DIR', once)
    .addHelpText('after', CLOSE_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: TypedCloseFlags) => {
      const flags = readCloseFlags(typed, io.cwd)
      ask(async (commandIo) => {
        const config = await settings()
        const { closeCommand } = await import('./close.ts')
        return closeCommand(config, flags, commandIo)
      })
    })

  signed(ofPeriod(program.command('reopen')))
    .summary('open a closed period again')
    .description('Opens a closed period again: its report is written anew from then on.')
    .addHelpText('after', CLOSE_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: TypedReopenFlags) => {
      const flags = readReopenFlags(typed)
      ask(async (commandIo) => {
        const config = await settings()
        const { reopenCommand } = await import('./close.ts')
        return reopenCommand(config, flags, commandIo)
      })
    })

  program
    .command('purge')
    .summary('remove raw payloads and archived files that are old enough')
    .description(
      'Removes what came in and is not needed for any proof: the raw payloads of ledger rows and bank entries from before a day, the notifications of the provider, and the archived files of exports whose period ended before it. Figures, matches, decisions, reports and closed periods stay, and reports made again come out the same.',
    )
    .requiredOption('--before <day>', 'the first day of which everything is kept', once)
    .requiredOption('--by <name>', 'who answers for it', once)
    .option('--dry-run', 'remove nothing; print what would go')
    .addHelpText('after', PURGE_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: TypedPurgeFlags) => {
      const flags = readPurgeFlags(typed)
      ask(async (commandIo) => {
        const config = await settings()
        const { purgeCommand } = await import('./purge.ts')
        return purgeCommand(config, flags, commandIo)
      })
    })

  program
    .command('backup')
    .summary('the whole database into one file')
    .description(
      'Writes the whole database, embedded or on a server, into one file of plain SQL, which restore and any psql take. Compressed if its name ends in .gz. May run beside a night.',
    )
    .argument('<file>', 'the file to make')
    .addHelpText('after', BACKUP_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: string) => {
      const file = readPath('FILE', typed, io.cwd)
      ask(async (commandIo) => {
        const config = await settings()
        const { backupCommand } = await import('./backup.ts')
        return backupCommand(config, { file }, commandIo)
      })
    })

  program
    .command('restore')
    .summary('a backup into an empty database')
    .description(
      'Checks a backup and reads it into the database of DATABASE_URL, or into the embedded one of DATA_DIR, which must be empty. All of it or nothing.',
    )
    .argument('<file>', 'a file that backup made')
    .addHelpText('after', BACKUP_EXAMPLES + '\n' + EXIT_CODES + '\n' + SETTINGS)
    .action((typed: string) => {
      const file = readPath('FILE', typed, io.cwd)
      ask(async (commandIo) => {
        const config = await settings()
        const { restoreCommand } = await import('./restore.ts')
        return restoreCommand(config, { file }, commandIo)
      })
    })

  program
    .command('doctor')
    .summary('check settings, database, provider key, bank inbox, mail')
    .description(
      'Checks settings, database and migrations, provider key, bank inbox, mail and reports folder, and says what to do for each fault. Changes nothing.',
    )
    .option('--json', 'print what was found as JSON on standard output, and nothing else there')
    .addHelpText('after', EXIT_CODES + '\n' + SETTINGS)
    .action((flags: { json?: true }) => {
      ask(async (commandIo) => {
        const { loadEnvironment } = await import('../src/config.ts')
        const { doctorCommand } = await import('./doctor.ts')
        return doctorCommand(
          { env: loadEnvironment(io.cwd, env), cwd: io.cwd, readFile: readTextFile },
          { json: flags.json ?? false },
          commandIo,
        )
      })
    })

  program
    .command('db:migrate')
    .summary('migrations only')
    .description('Brings the database to the schema of this version; every other command does too.')
    .addHelpText('after', EXIT_CODES + '\n' + SETTINGS)
    .action(() => {
      ask(async (commandIo) => {
        const config = await settings()
        const { migrateCommand } = await import('./compose.ts')
        return migrateCommand(config, commandIo)
      })
    })

  program
    .command('db:distribute')
    .summary('spread the tables of a Citus coordinator over its servers')
    .description(
      'For many entities: turns the tables of a Citus coordinator, which DATABASE_URL names, into tables that are distributed by entity, with what is in them. May be run again.',
    )
    .addHelpText('after', EXIT_CODES + '\n' + SETTINGS)
    .action(() => {
      ask(async (commandIo) => {
        const config = await settings()
        const { distributeCommand } = await import('./distribute.ts')
        return distributeCommand(config, commandIo)
      })
    })

  return program
}

/** A command about one period. */
function ofPeriod(command: Command): Command {
  return command
    .option('--week <week>', 'an ISO week, such as 2024-W12', once)
    .option('--month <month>', 'a month, such as 2024-03', once)
    .option('--from <day>', 'the first day of a range', once)
    .option('--to <day>', 'the last day of the range, itself included', once)
}

/** A command that a person answers for. */
function signed(command: Command): Command {
  return command
    .requiredOption('--by <name>', 'who decides', once)
    .requiredOption('--reason <text>', 'why', once)
}

/** Settings are read when a command runs, so that help and usage errors do not wait for them. */
async function readSettings(given: Environment, { cwd, progress }: CliIo): Promise<Config> {
  const { loadEnvironment, readConfig } = await import('../src/config.ts')
  const { settingWarnings } = await import('../src/setting-warnings.ts')
  const env = loadEnvironment(cwd, given)
  const config = readConfig(env, { cwd, readFile: readTextFile })
  for (const warning of settingWarnings(env, config)) progress.note(`warning: ${warning}`, 'warn')
  return config
}

/** The settings as they would be with some of them set otherwise. */
async function triedSettings(
  given: Environment,
  { cwd }: CliIo,
  set: ReadonlyMap<string, string>,
): Promise<Config> {
  const { inspectConfig, loadEnvironment, settingFaultText } = await import('../src/config.ts')
  const env = { ...loadEnvironment(cwd, given), ...Object.fromEntries(set) }
  const { config, faults } = inspectConfig(env, { cwd, readFile: readTextFile })
  if (faults.length === 0) return config
  throw new UsageFault(`--set: ${faults.map(settingFaultText).join('; ')}`, {
    hint: 'Settings that depend on each other can be tried together: --set may be given several times.',
  })
}

function readTextFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function checkEntity(name: string | null, { entities }: Config): void {
  if (name === null || entities.some((entity) => entity.name === name)) return
  const known = entities.map((entity) => `"${entity.name}"`).join(', ')
  throw new UsageFault(`--entity: found "${name}", expected one of ${known}`, {
    hint: 'Entities are named in ENTITIES_FILE; without one there is the entity "default".',
  })
}

/** A flag whose second mention would silently win over the first. */
function once(value: string, previous: string | undefined): string {
  if (previous === undefined) return value
  throw new InvalidArgumentError(`It was given twice, "${previous}" before.`)
}

function each(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

/** After a signal, and after a command has ended: how long until the process ends in any case. */
const WATCHDOG_MS = 10_000
/** After a signal: how long the last lines may take to get out. */
const DRAIN_MS = 200
/** Terminals and wrappers such as npm may deliver one Ctrl-C twice. */
const SAME_SIGNAL_MS = 1_000

/** The process itself as `CliIo`; its signal follows SIGINT and SIGTERM from now on. */
export async function processIo(): Promise<CliIo> {
  const { openTeller } = await import('./standard-error.ts')
  const teller = await openTeller({
    cwd: process.cwd(),
    env: process.env,
    command: process.argv.slice(2).find((word) => /^[a-z][a-z:-]*$/.test(word)) ?? 'none',
    stream: process.stderr,
  }).catch((error: unknown) => {
    const failure = failureOf(error)
    process.stderr.write(failureText(failure, false))
    process.exit(failure.exitCode)
  })
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    let firstMs: number | null = null
    process.on(name, () => {
      const interruption = new Interruption(name)
      if (firstMs === null) {
        firstMs = performance.now()
        endAfter(WATCHDOG_MS, interruption.exitCode)
        controller.abort(interruption)
      } else if (performance.now() - firstMs > SAME_SIGNAL_MS) {
        process.exit(interruption.exitCode)
      }
    })
  }
  // The driver throws outside of any promise when a connection dies within a transaction; whatever
  // is thrown there ends the command like any other fault, with everything given back.
  process.on('uncaughtException', (error) => {
    endAfter(WATCHDOG_MS, EXIT.unexpected)
    void import('../db/client.ts').then(({ faultOfLostConnection }) => {
      controller.abort(faultOfLostConnection(error) ?? error)
    })
  })
  return {
    cwd: process.cwd(),
    out: (text) => process.stdout.write(text),
    ...teller,
    now: () => new Date(),
    signal: controller.signal,
  }
}

function endAfter(delayMs: number, exitCode: number): void {
  setTimeout(() => process.exit(exitCode), delayMs).unref()
}

function isMain(): boolean {
  const script = process.argv[1]
  return script !== undefined && pathToFileURL(realpathSync(script)).href === import.meta.url
}

/** The process as the command line: from its arguments to its exit code. */
export async function main(): Promise<void> {
  // A reader that has seen enough (`| head`) closes the pipe; that is no fault of the run.
  process.stdout.on('error', () => undefined)
  const io = await processIo()
  process.exitCode = await runCli(process.argv.slice(2), process.env, io)
  // Everything is given back by now. What still keeps the process alive after a signal is a request
  // that nobody waits for any more.
  endAfter(io.signal.aborted ? DRAIN_MS : WATCHDOG_MS, process.exitCode)
}

if (isMain()) await main()
