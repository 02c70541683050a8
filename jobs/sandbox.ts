/**
 * `npm run sandbox`: the demo's world behind the provider's API, until Ctrl-C, to try the other
 * commands against.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { EXIT } from '../src/errors.ts'
import { BANK_FORMATS, type BankFormat, writeBankFiles } from '../src/sandbox/bank-files.ts'
import { plantDemo } from '../src/sandbox/plant.ts'
import { SANDBOX_WEBHOOK_KEY } from '../src/sandbox/notify.ts'
import { type Sandbox, startSandbox } from '../src/sandbox/server.ts'
import { createWorld, DEMO_API_KEY, DEMO_WEEK } from '../src/sandbox/world.ts'

interface Flags {
  port: number
  bankDir?: string
  bankFormat?: BankFormat
  clean?: boolean
  ipnUrl?: string
  tellEvery?: number
}

/** Where the demo's week begins in the list of payments that are told of. */
const WEEK_BEGINS_S = Date.parse('2024-03-18T00:00:00+01:00') / 1000

function seconds(text: string): number {
  const number = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || number < 0.1 || number > 3_600) {
    throw new InvalidArgumentError('Seconds from 0.1 to 3600 were expected.')
  }
  return number
}

function address(text: string): string {
  if (URL.canParse(text)) return text
  throw new InvalidArgumentError('A URL such as http://127.0.0.1:8787/ was expected.')
}

/** Tells of one payment of the week after the other, until it is told to stop. */
function tellOfPayments(
  sandbox: Sandbox,
  { ipnUrl, tellEvery }: Flags,
  say: (text: string) => void,
): () => void {
  if (tellEvery === undefined) return () => undefined
  const payments = [...(sandbox.world.accounts[0]?.payments.values() ?? [])].filter(
    ({ created }) => created >= WEEK_BEGINS_S,
  )
  let told = 0
  const timer = setInterval(() => {
    const paymentId = payments[told % payments.length]?.id
    told += 1
    if (paymentId === undefined) return
    const event = { type: 'payment.captured', paymentId }
    void sandbox.notify(ipnUrl === undefined ? event : { ...event, ipnUrl }).then((deliveries) => {
      const answers = deliveries.map(({ status }) => status ?? 'no answer').join(', ')
      say(`told of ${paymentId}: ${answers === '' ? 'nobody asked for it' : answers}`)
    })
  }, tellEvery * 1000)
  return () => clearInterval(timer)
}

function port(text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number > 65_535) {
    throw new InvalidArgumentError('A port from 0 to 65535 was expected; 0 takes any free one.')
  }
  return number
}

async function serve(flags: Flags): Promise<void> {
  if (flags.bankFormat !== undefined && flags.bankDir === undefined) {
    program.error('error: --bank-format says how the files of --bank-dir are written: give both.')
  }
  const world = createWorld()
  const planted = flags.clean === true ? [] : plantDemo(world)
  const sandbox = await startSandbox({ world, port: flags.port })
  // Listened for before it is offered: a signal may follow the words at once.
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  const say = (text = ''): void => {
    process.stdout.write(`${text}\n`)
  }
  say(`The sandbox of Alma answers at ${sandbox.url} (exports at ${sandbox.exportHostUrl}).`)
  if (flags.bankDir !== undefined) {
    const files = await writeBankFiles(
      world,
      flags.bankDir,
      flags.bankFormat === undefined ? {} : { format: flags.bankFormat },
    )
    say(`${files.length} bank statements are in ${flags.bankDir}.`)
  }
  say()
  say('Put this into .env:')
  say(`  ALMA_API_KEY=${DEMO_API_KEY}`)
  say(`  ALMA_API_URL=${sandbox.url}`)
  if (flags.bankDir !== undefined) say(`  BANK_INBOX=${flags.bankDir}`)
  if (flags.tellEvery !== undefined) say(`  WEBHOOK_KEY=${SANDBOX_WEBHOOK_KEY}`)
  say('and in another terminal run:')
  say(`  npm run reconcile -- --week ${DEMO_WEEK}`)
  say(`  curl -g -H 'Authorization: Alma-Auth ${DEMO_API_KEY}' '${sandbox.url}/v1/me'`)
  say()
  say(planted.length === 0 ? 'Nothing is wrong in this world.' : 'What is wrong in this world:')
  for (const { code, story } of planted) say(`  ${code.padEnd(20)} ${story}`)
  say()
  say('Ctrl-C stops it.')
  const stopTelling = tellOfPayments(sandbox, flags, say)
  await stopped
  stopTelling()
  await sandbox.close()
}

const program = new Command('npm run sandbox --')
  .description('A stand-in for the Alma API with a sample world, for trying things out.')
  .option('--port <number>', 'port of the API', port, 8765)
  .option('--bank-dir <dir>', 'write the bank statements of the sample world into this folder')
  .addOption(
    new Option(
      '--bank-format <format>',
      'of the bank statements, in a folder that has none yet; by turns camt.053 and canonical CSV unless given',
    ).choices(BANK_FORMATS),
  )
  .option('--clean', 'a world without the planted breaks')
  .option(
    '--tell-every <seconds>',
    'tell of a payment of the week every so often: by IPN, and by webhooks that were registered',
    seconds,
  )
  .option('--ipn-url <url>', 'where IPNs go, with --tell-every', address)
  .addHelpText(
    'after',
    `
Examples:
  npm run sandbox
  npm run sandbox -- --port 9000 --bank-dir inbox
  npm run sandbox -- --bank-dir inbox --bank-format mt940
  npm run sandbox -- --tell-every 2 --ipn-url http://127.0.0.1:8787/`,
  )
  .action(serve)
  .exitOverride()

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
}

function exitCodeOf(error: unknown): number {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  // Commander has said already what was wrong with the command line, or printed the help.
  if (code.startsWith('commander.'))
    return code === 'commander.helpDisplayed' ? EXIT.done : EXIT.usage
  if (code === 'EADDRINUSE' || code === 'EACCES') {
    process.stderr.write(
      `The port is not free (${code}): choose another with --port, or 0 for any free one.\n`,
    )
    return EXIT.usage
  }
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  return EXIT.unexpected
}
