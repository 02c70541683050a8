/**
 * The embedded Postgres: a real server on a cluster under DATA_DIR, reached over a Unix socket, that
 * runs while any of our processes uses it.
 *
 * Several processes may come and go at once, and any of them may be killed. What keeps them in
 * order is Postgres itself: only one server can hold a cluster (`postmaster.pid`), and every user of
 * it holds a shared advisory lock. Whoever leaves tries to take that lock exclusively; if it
 * gets it, nobody else is there, nobody else can enter, and it stops the server.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmod,
  link,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { ConfigurationFault, UnavailableFault } from '../src/errors.ts'
import { makeFolder } from '../src/make-folder.ts'
import { advisoryKey } from './advisory-locks.ts'
import { APPLICATION_NAME, type DatabaseAddress, openSession, type Session } from './client.ts'
import { chooseLauncher, type Launcher } from './embedded-account.ts'
import { type Binaries, embeddedBinaries } from './embedded-binaries.ts'
import { chooseSettings, type ServerSettings, thisMachine } from './embedded-settings.ts'
import { keepUp } from './embedded-upkeep.ts'
import { errorCode } from './os-errors.ts'
import { commandLineOf, isAlive } from './processes.ts'

const run = promisify(execFile)

export interface EmbeddedServer {
  readonly address: DatabaseAddress
  /**
   * Leaves the server; the last one to leave stops it. May be called again and from a signal
   * handler: every call waits for the same end.
   */
  release(): Promise<void>
}

export interface EmbeddedOptions {
  /** The cluster goes to `postgres` in this folder, the server's log to `postgres.log`. */
  readonly dataDir: string
  /** Server settings over those that `chooseSettings` chose, such as `fsync: 'off'` in tests. */
  readonly settings?: ServerSettings
}

/** The major version of the binaries that the npm package brings. */
const POSTGRES_MAJOR = '18'

/** Whatever the machine. */
const FIXED_SETTINGS: ServerSettings = {
  max_connections: '60',
  // Queries and locks of a killed process end with it, not with its last statement.
  client_connection_check_interval: process.platform === 'linux' ? '1s' : '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
}

/** Recovery after a kill reads what was written since the last checkpoint, which can take a minute. */
const START_TIMEOUT_MS = 120_000
const INITDB_TIMEOUT_MS = 120_000
const FAST_STOP_TIMEOUT_MS = 30_000
const QUICK_STOP_TIMEOUT_MS = 10_000
const POLL_MS = 20
/** How long a server that may be one gets to answer. */
const DOUBT_MS = 5_000
const PID_FILE_WRITTEN_WITHIN_MS = 5_000
/** Starts that fail are tried again: the memory of a killed server is freed a moment after it. */
const LAUNCHES_MAX = 4
const LOG_BYTES_MAX = 5_000_000
const LOG_LINES_SHOWN = 8
/** Unix socket addresses have 104 bytes on macOS, 108 on Linux, the socket's name and a zero included. */
const SOCKET_DIR_BYTES_MAX = 80
const SOCKET_DIR_PREFIX = 'alma-pg-'
const PORT = 5432
const SUPERUSER = 'postgres'
const DATABASE = 'postgres'

/** Advisory lock of the `postgres` database: held shared by each process that uses the server. */
const PRESENCE_KEY = advisoryKey('server in use')

/**
 * Starts the embedded Postgres, or joins the one that already runs on this cluster.
 * @throws UnavailableFault if it cannot be started here; ConfigurationFault if the folder holds
 * something else, or a cluster of another version.
 */
export async function startEmbedded({
  dataDir,
  settings = {},
}: EmbeddedOptions): Promise<EmbeddedServer> {
  const place = await placeOf(dataDir)
  // Refuses a cluster that is not ours to use, running or not.
  await clusterExists(place)
  const giveUpAt = Date.now() + START_TIMEOUT_MS
  const doubtUntil = Date.now() + DOUBT_MS
  let launched: Launched | null = null
  let launches = 0
  let smartStopAsked = false
  while (Date.now() < giveUpAt) {
    const found = await serverOn(place)
    if (found.state === 'running') {
      const session = await enter(found.address, place)
      if (session !== null) {
        return { address: found.address, release: onlyOnce(() => leave(session, place)) }
      }
      if (found.isCertain && found.socketGone && !smartStopAsked) {
        // It cannot be reached any more. It ends at once unless others still hold connections.
        smartStopAsked = true
        signalIfThere(found.pid, 'SIGTERM')
      }
    }
    // Postgres itself refuses to start beside a server that we cannot tell from another program.
    const isFree =
      found.state === 'none' ||
      (found.state === 'running' && !found.isCertain && Date.now() > doubtUntil)
    if (isFree && (launched === null || launched.ended)) {
      if (launches === LAUNCHES_MAX) throw startFault(place, await lastLines(launched, place))
      await sleep(launches * 300)
      launches += 1
      const chosen = chooseSettings(await thisMachine(place.dataDir))
      launched = await launch(place, { ...FIXED_SETTINGS, ...chosen, ...settings })
    }
    await sleep(POLL_MS)
  }
  throw startFault(place, await lastLines(launched, place))
}

function onlyOnce(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null
  return () => (done ??= work())
}

// ---------------------------------------------------------------------------------------- place

interface Place {
  readonly dataDir: string
  /** The cluster's folder; its parent's links are resolved. */
  readonly cluster: string
  readonly log: string
  /** Windows has no account-bound sockets, so the superuser has a password there. */
  readonly passwordFile: string
}

async function placeOf(dataDir: string): Promise<Place> {
  try {
    await makeFolder(dataDir)
    const real = await realpath(dataDir)
    return {
      dataDir: real,
      cluster: path.join(real, 'postgres'),
      log: path.join(real, 'postgres.log'),
      passwordFile: path.join(real, 'postgres.password'),
    }
  } catch (error) {
    throw new ConfigurationFault(
      `the data folder ${dataDir} cannot be used (${errorCode(error) ?? 'unknown error'})`,
      { hint: 'Choose a folder that can be written to with DATA_DIR.', cause: error },
    )
  }
}

async function clusterExists({ cluster }: Place): Promise<boolean> {
  let version: string
  try {
    version = (await readFile(path.join(cluster, 'PG_VERSION'), 'utf8')).trim()
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT') {
      await assertEmpty(cluster)
      return false
    }
    throw new UnavailableFault(
      `the embedded database in ${cluster} cannot be read (${code ?? 'unknown error'})`,
      {
        hint: 'Run the command under the account that created it, or choose another folder with DATA_DIR.',
        cause: error,
      },
    )
  }
  if (version === POSTGRES_MAJOR) return true
  throw new ConfigurationFault(
    `the embedded database in ${cluster} was made by Postgres ${version}; this version brings Postgres ${POSTGRES_MAJOR}`,
    {
      hint: 'Choose another folder with DATA_DIR; what the provider and the bank files hold is read again.',
    },
  )
}

/** What is not a cluster is somebody's: it is neither used nor moved. */
async function assertEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  })
  if (names.length > 0) {
    throw new ConfigurationFault(`${folder} is there but holds no Postgres cluster`, {
      hint: 'Move it away, or choose another folder with DATA_DIR.',
    })
  }
}

// ----------------------------------------------------------------------------- what runs there

type Found =
  | { readonly state: 'none' }
  /** Starting or stopping. */
  | { readonly state: 'busy' }
  | {
      readonly state: 'running'
      readonly pid: number
      /** False where the system does not tell whose number it is. */
      readonly isCertain: boolean
      readonly address: DatabaseAddress
      readonly socketGone: boolean
    }

interface PidFile {
  readonly text: string
  /** When the file was last written, by the file system's clock. */
  readonly writtenMs: number
  /** NaN or 0 where the file has no number yet. */
  readonly pid: number
  readonly port: number
  readonly socketDir: string
  readonly ready: boolean
}

/** Lines of `postmaster.pid` as Postgres documents them in `miscadmin.h`: the file grows as it starts. */
async function readPidFile({ cluster }: Place): Promise<PidFile | null> {
  const file = path.join(cluster, 'postmaster.pid')
  let text: string
  let writtenMs: number
  try {
    text = await readFile(file, 'utf8')
    writtenMs = (await stat(file)).mtimeMs
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
  const lines = text.split('\n')
  return {
    text,
    writtenMs,
    pid: Number(lines[0]),
    port: Number(lines[3]),
    socketDir: lines[4]?.trim() ?? '',
    ready: lines[7]?.trim() === 'ready',
  }
}

async function serverOn(place: Place): Promise<Found> {
  const file = await readPidFile(place)
  if (file === null) return { state: 'none' }
  const holder = await holderOf(place, file.pid)
  if (holder === 'dead') {
    // Postgres takes such a file over itself.
    await removeSocketDir(file.socketDir)
    return { state: 'none' }
  }
  if (holder === 'other') {
    // A file without a number may be one that is being written at this moment.
    if (!(file.pid > 0) && Date.now() - file.writtenMs < PID_FILE_WRITTEN_WITHIN_MS) {
      return { state: 'busy' }
    }
    await retire(place, file)
    return { state: 'none' }
  }
  if (!file.ready) return { state: 'busy' }
  return {
    state: 'running',
    pid: file.pid,
    isCertain: holder === 'server',
    address: await addressOf(place, file),
    socketGone: file.socketDir !== '' && (await stat(file.socketDir).catch(() => null)) === null,
  }
}

/**
 * Who has the process number of `postmaster.pid`: a server on this cluster, nobody, or another
 * program, to which the number of a killed server may have gone long ago.
 */
async function holderOf(
  { cluster }: Place,
  pid: number,
): Promise<'server' | 'dead' | 'other' | 'unknown'> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return 'other'
  if (!isAlive(pid)) return 'dead'
  const line = await commandLineOf(pid)
  if (line === null) return 'unknown'
  // Children of a server show a title instead of arguments.
  if (!/(^|\/)postgres -/.test(line)) return 'other'
  if (`${line} `.includes(` -D ${cluster} `)) return 'server'
  // Started by hand, perhaps with a relative path.
  return line.includes(' -D /') ? 'other' : 'unknown'
}

/**
 * Moves a stale `postmaster.pid` away. Postgres does that itself unless its process number lives
 * on in another program; then it would refuse to start. Moving instead of deleting lets us look at what
 * was moved: if another process started the server at this very moment, its file is put back.
 */
async function retire({ cluster }: Place, stale: PidFile): Promise<void> {
  const file = path.join(cluster, 'postmaster.pid')
  const aside = `${file}.stale-${randomBytes(6).toString('hex')}`
  try {
    await rename(file, aside)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  if ((await readFile(aside, 'utf8')) !== stale.text) {
    await link(aside, file).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error
    })
  } else {
    await removeSocketDir(stale.socketDir)
  }
  await rm(aside, { force: true })
}

async function addressOf(place: Place, { port, socketDir }: PidFile): Promise<DatabaseAddress> {
  if (process.platform !== 'win32') {
    return { socketDir, port, user: SUPERUSER, database: DATABASE }
  }
  const password = (await readFile(place.passwordFile, 'utf8')).trim()
  return { url: `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${DATABASE}` }
}

// --------------------------------------------------------------------------------------- enter

/** Joins the users of a running server; null if it cannot be joined at this moment. */
async function enter(address: DatabaseAddress, place: Place): Promise<Session | null> {
  let session: Session
  try {
    session = await openSession(address, `${APPLICATION_NAME}: presence`)
  } catch {
    return null
  }
  try {
    const [row] = await session.db.execute<{ entered: boolean; data_directory: string }>(
      sql`select pg_try_advisory_lock_shared(${PRESENCE_KEY}) as entered,
            current_setting('data_directory') as data_directory`,
    )
    if (row?.entered === true && row.data_directory === place.cluster) return session
  } catch {
    // It went away between two statements: the caller looks again.
  }
  await session.close()
  return null
}

// --------------------------------------------------------------------------------------- leave

async function leave(session: Session, place: Place): Promise<void> {
  try {
    if (!(await isLast(session))) return
    const file = await readPidFile(place)
    if (file === null) return
    // It is about speed only, and what is not done today is still due tomorrow.
    await keepUp(session.db).catch(() => undefined)
    await stop(place, file)
    await removeSocketDir(file.socketDir)
  } finally {
    await session.close()
  }
}

/**
 * Gives up the own presence and asks whether it was the last; a person's `psql` or `pg_dump` counts
 * too. If so, nobody can enter until the session ends.
 */
async function isLast({ db, lost }: Session): Promise<boolean> {
  if (lost.aborted) return false
  try {
    await db.execute(sql`select pg_advisory_unlock_shared(${PRESENCE_KEY})`)
    const [row] = await db.execute<{ alone: boolean }>(
      sql`select pg_try_advisory_lock(${PRESENCE_KEY}) and not exists (
            select from pg_stat_activity where backend_type = 'client backend'
            and pid <> pg_backend_pid() and not starts_with(application_name, ${APPLICATION_NAME})
          ) as alone`,
    )
    return row?.alone === true
  } catch {
    // Without a connection there is nothing left to leave; a later run looks after the server.
    return false
  }
}

async function stop(place: Place, { pid }: PidFile): Promise<void> {
  if (process.platform === 'win32') {
    const { pgCtl } = await embeddedBinaries(place.dataDir)
    await run(pgCtl, ['stop', '-D', place.cluster, '-m', 'fast', '-w', '-s'])
    return
  }
  if (await signalAndWait(place, pid, 'SIGINT', FAST_STOP_TIMEOUT_MS)) return
  // An immediate stop loses nothing that was committed: the next start recovers it.
  await signalAndWait(place, pid, 'SIGQUIT', QUICK_STOP_TIMEOUT_MS)
}

async function signalAndWait(
  place: Place,
  pid: number,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<boolean> {
  const giveUpAt = Date.now() + timeoutMs
  signalIfThere(pid, signal)
  while (Date.now() < giveUpAt) {
    const holder = await holderOf(place, pid)
    if (holder === 'dead' || holder === 'other') return true
    await sleep(POLL_MS)
  }
  return false
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error
  }
}

/** Only a folder of ours: the name comes from a file. */
async function removeSocketDir(folder: string): Promise<void> {
  if (path.basename(folder).startsWith(SOCKET_DIR_PREFIX)) {
    await rm(folder, { recursive: true, force: true })
  }
}

// -------------------------------------------------------------------------------------- launch

interface Launched {
  readonly child: ChildProcess
  ended: boolean
  /** Where this start's lines begin in the log. */
  readonly logStart: number
}

async function launch(place: Place, settings: ServerSettings): Promise<Launched> {
  const binaries = await embeddedBinaries(place.dataDir)
  if (!(await clusterExists(place))) {
    await createCluster(place, binaries, settings['fsync'] === 'off')
  }
  if (process.platform === 'win32') return launchOnWindows(place, binaries, settings)

  const socketDir = await makeSocketDir()
  try {
    const launcher = await chooseLauncher({
      ownFolders: [place.cluster, socketDir],
      programs: [binaries.postgres],
      dataDir: place.dataDir,
      cluster: place.cluster,
    })
    const call = launcher.call(binaries.postgres, [
      '-D',
      place.cluster,
      ...asArguments({
        ...settings,
        listen_addresses: '',
        unix_socket_directories: socketDir,
        unix_socket_permissions: '0700',
        port: String(PORT),
      }),
    ])
    const launched = await spawnWithLog(place, launcher, call)
    launched.child.once('exit', () => {
      // A server that never came up leaves its folder behind.
      removeSocketDir(socketDir).catch(() => undefined)
    })
    return launched
  } catch (error) {
    await removeSocketDir(socketDir)
    throw error
  }
}

function asArguments(settings: ServerSettings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

async function spawnWithLog(
  place: Place,
  { owner }: Pick<Launcher, 'owner'>,
  { file, args, options }: ReturnType<Launcher['call']>,
): Promise<Launched> {
  const log = await open(place.log, 'a', 0o600)
  try {
    if (owner !== null) await log.chown(owner.uid, owner.gid)
    if ((await log.stat()).size > LOG_BYTES_MAX) await log.truncate(0)
    const logStart = (await log.stat()).size
    const child = spawn(file, args, {
      ...options,
      ...bareEnvironment(),
      cwd: '/',
      // A session of its own: Ctrl-C in the terminal must reach us, and the server through us.
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      windowsHide: true,
    })
    const launched: Launched = { child, ended: false, logStart }
    child.once('error', () => {
      launched.ended = true
    })
    child.once('exit', () => {
      launched.ended = true
    })
    child.unref()
    return launched
  } finally {
    await log.close()
  }
}

/** Nothing of our environment is the server's business: it holds the provider's key. */
function bareEnvironment(): { env: Record<string, string> } | Record<string, never> {
  // Windows programs do not start without some of it.
  if (process.platform === 'win32') return {}
  return { env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' } }
}

async function makeSocketDir(): Promise<string> {
  const candidates = [tmpdir(), '/tmp', '/var/tmp'].filter(
    (folder) => Buffer.byteLength(folder) + SOCKET_DIR_PREFIX.length + 7 <= SOCKET_DIR_BYTES_MAX,
  )
  for (const folder of candidates) {
    try {
      // mkdtemp makes it 0700: nobody else reaches the socket, on which no password is asked.
      return await mkdtemp(path.join(await realpath(folder), SOCKET_DIR_PREFIX))
    } catch {
      // The next one may do.
    }
  }
  throw new UnavailableFault(
    `no folder for the embedded database's socket: neither ${tmpdir()} nor /tmp can be used`,
    {
      hint: `Set TMPDIR to a folder that can be written to and whose path is shorter than ${SOCKET_DIR_BYTES_MAX - 15} bytes, or set DATABASE_URL to use a Postgres server instead.`,
    },
  )
}

async function launchOnWindows(
  place: Place,
  { pgCtl }: Binaries,
  settings: ServerSettings,
): Promise<Launched> {
  // pg_ctl gives up administrator rights, with which postgres itself would refuse to run.
  const options = asArguments({
    ...settings,
    listen_addresses: '127.0.0.1',
    port: String(await freePort()),
  })
  return spawnWithLog(
    place,
    { owner: null },
    {
      file: pgCtl,
      args: ['start', '-D', place.cluster, '-w', '-s', '-o', options.join(' ')],
      options: {},
    },
  )
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => {
        resolve(port)
      })
    })
  })
}

// ---------------------------------------------------------------------------------- the cluster

/**
 * Creates the cluster beside its place and moves it there whole, so a cluster that is there is
 * complete, whoever was killed, and of two processes that create it at once one wins.
 */
async function createCluster(
  place: Place,
  binaries: Binaries,
  withoutSync: boolean,
): Promise<void> {
  await removeAbandoned(place)
  const made = await mkdtemp(path.join(place.dataDir, NEW_CLUSTER_PREFIX))
  try {
    const launcher = await chooseLauncher({
      ownFolders: [made],
      programs: [binaries.initdb, binaries.postgres],
      dataDir: place.dataDir,
      cluster: null,
    })
    await initialise(made, place, binaries, launcher, withoutSync)
    await rename(made, place.cluster)
  } catch (error) {
    await rm(made, { recursive: true, force: true })
    // Another process was first.
    if (await clusterExists(place)) return
    throw error
  }
}

const NEW_CLUSTER_PREFIX = 'postgres.new-'

/** What a process left that was killed while it created a cluster. */
async function removeAbandoned({ dataDir }: Place): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (!name.startsWith(NEW_CLUSTER_PREFIX)) continue
    const folder = path.join(dataDir, name)
    const found = await stat(folder).catch(() => null)
    if (found !== null && found.mtimeMs < Date.now() - 2 * INITDB_TIMEOUT_MS) {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

async function initialise(
  folder: string,
  place: Place,
  { initdb }: Binaries,
  launcher: Launcher,
  withoutSync: boolean,
): Promise<void> {
  const { file, args, options } = launcher.call(initdb, [
    `--pgdata=${folder}`,
    `--username=${SUPERUSER}`,
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(withoutSync ? ['--no-sync'] : []),
    ...(await authentication(place)),
  ])
  try {
    await run(file, [...args], {
      ...options,
      ...bareEnvironment(),
      cwd: '/',
      timeout: INITDB_TIMEOUT_MS,
    })
  } catch (error) {
    throw new UnavailableFault(
      `the embedded database could not be created in ${place.cluster}: ${saidBy(error)}`,
      {
        hint: 'Check the free space, or choose another folder with DATA_DIR; or set DATABASE_URL to use a Postgres server instead.',
        cause: error,
      },
    )
  }
}

/** On a socket in a folder of our own, the folder's mode is the authentication. */
async function authentication(place: Place): Promise<string[]> {
  if (process.platform !== 'win32') return ['--auth-local=trust', '--auth-host=reject']
  await writeFile(place.passwordFile, randomBytes(24).toString('hex'), { mode: 0o600, flag: 'wx' })
    .catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error
    })
    .then(() => chmod(place.passwordFile, 0o600))
  return ['--auth=scram-sha-256', `--pwfile=${place.passwordFile}`]
}

// ------------------------------------------------------------------------------------- messages

function saidBy(error: unknown): string {
  const stderr =
    error !== null && typeof error === 'object' && 'stderr' in error ? error.stderr : null
  const text = typeof stderr === 'string' && stderr.trim() !== '' ? stderr : String(error)
  return lastOf(text)
}

function lastOf(text: string): string {
  return text.trim().split('\n').slice(-LOG_LINES_SHOWN).join('\n')
}

async function lastLines(launched: Launched | null, place: Place): Promise<string> {
  if (launched === null) return 'another process is starting or stopping it'
  const bytes = await readFile(place.log).catch(() => Buffer.alloc(0))
  return lastOf(bytes.subarray(launched.logStart).toString('utf8')) || 'it said nothing'
}

function startFault({ log, cluster }: Place, said: string): UnavailableFault {
  return new UnavailableFault(`the embedded Postgres on ${cluster} did not start:\n${said}`, {
    hint: `The whole log is in ${log}. Run the command again if the database was recovering; choose another folder with DATA_DIR, or set DATABASE_URL to use a Postgres server instead.`,
  })
}
