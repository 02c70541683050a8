import { execFile, spawn } from 'node:child_process'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connect } from '../../db/client.ts'
import { type EmbeddedServer, startEmbedded } from '../../db/embedded.ts'
import { ConfigurationFault, UnavailableFault } from '../../src/errors.ts'
import {
  isRunning,
  postmasterPid,
  signalGroup,
  startUser,
  type User,
  waitUntilGone,
} from '../support/embedded.ts'

const settings = { fsync: 'off' }

/** A cluster that was stopped cleanly: most tests begin on a copy of it. */
let prepared: string
let dataDir: string
const users: User[] = []
const servers: EmbeddedServer[] = []

const newFolder = async (): Promise<string> =>
  // mkdtemp folders are closed to every other account, as /root is.
  realpath(await mkdtemp(path.join(tmpdir(), 'alma-embedded-')))

beforeAll(async () => {
  prepared = await newFolder()
  await (await startEmbedded({ dataDir: prepared, settings })).release()
})

afterAll(() => rm(prepared, { recursive: true, force: true }))

beforeEach(async () => {
  dataDir = await newFolder()
})

async function begin(): Promise<void> {
  // With its owner, which is another account when this runs as root.
  await promisify(execFile)('cp', ['-a', path.join(prepared, 'postgres'), dataDir])
}

afterEach(async () => {
  for (const { process: child } of users.splice(0)) child.kill('SIGKILL')
  await Promise.all(servers.splice(0).map((server) => server.release()))
  const pid = await postmasterPid(dataDir).catch(() => null)
  if (pid !== null && (await isRunning(pid))) {
    const server = await startEmbedded({ dataDir })
    await server.release()
  }
  await rm(dataDir, { recursive: true, force: true })
})

async function use(): Promise<User> {
  const user = await startUser(dataDir)
  users.push(user)
  return user
}

async function startHere(): Promise<EmbeddedServer> {
  const server = await startEmbedded({ dataDir, settings })
  servers.push(server)
  return server
}

async function visits({ address }: EmbeddedServer): Promise<number> {
  const connection = connect(address)
  try {
    const [row] = await connection.db.execute<{ visits: number }>(
      sql`select count(*)::int as visits from visits`,
    )
    return row?.visits ?? 0
  } finally {
    await connection.close()
  }
}

describe('the embedded Postgres', () => {
  test('starts in a folder that no other account may enter, and leaves nothing running', async () => {
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
    const server = await startHere()
    const pid = await postmasterPid(dataDir)
    expect(await isRunning(pid)).toBe(true)

    await server.release()

    expect(await isRunning(pid)).toBe(false)
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
    expect(await readdir(dataDir)).toEqual(['postgres', 'postgres.log'])
  })

  test('is a durable server of our own: UTF-8, byte order, no network, a private socket', async () => {
    const server = await startEmbedded({ dataDir })
    servers.push(server)
    const connection = connect(server.address)
    const [row] = await connection.db.execute(
      sql`select current_setting('server_encoding') as encoding,
            (select datlocale from pg_database where datname = current_database()) as locale,
            current_setting('listen_addresses') as network,
            current_setting('fsync') as fsync,
            current_setting('synchronous_commit') as commits,
            'É' < 'z' as "sortsByLanguage", upper('é') as upper`,
    )
    await connection.close()
    expect(row).toEqual({
      encoding: 'UTF8',
      locale: 'C.UTF-8',
      network: '',
      fsync: 'on',
      commits: 'on',
      sortsByLanguage: false,
      upper: 'É',
    })
    const { socketDir } = server.address as { socketDir: string }
    expect((await stat(socketDir)).mode & 0o777).toBe(0o700)

    await server.release()

    await expect(stat(socketDir)).rejects.toHaveProperty('code', 'ENOENT')
  })

  test('keeps what was stored', async () => {
    await begin()
    await signalGroup(await use(), 'SIGTERM')
    const server = await startHere()
    expect(await visits(server)).toBe(1)
  })

  test('may be released twice at once', async () => {
    await begin()
    const server = await startHere()
    await Promise.all([server.release(), server.release()])
    await server.release()
    await expect(postmasterPid(dataDir)).rejects.toHaveProperty('code', 'ENOENT')
  })
})

describe('several processes that meet an empty folder', () => {
  test('that start at the same moment on an empty folder share one server', async () => {
    const [first, second, third] = await Promise.all([use(), use(), use()])
    expect(second.serverPid).toBe(first.serverPid)
    expect(third.serverPid).toBe(first.serverPid)
    expect((await readdir(dataDir)).sort()).toEqual(['postgres', 'postgres.log'])
  })
})

describe('several processes on one embedded Postgres', () => {
  beforeEach(begin)

  test('the one that started it may leave first; the last one stops it', async () => {
    const starter = await use()
    const other = await use()
    expect(await signalGroup(starter, 'SIGTERM')).toBe(0)
    expect(await isRunning(starter.serverPid)).toBe(true)

    expect(await signalGroup(other, 'SIGTERM')).toBe(0)

    expect(await isRunning(starter.serverPid)).toBe(false)
  })

  test('that come while it is being stopped start it again', async () => {
    const first = await startHere()
    const [, second] = await Promise.all([first.release(), startHere()])
    const connection = connect(second.address)
    await connection.db.execute(sql`select 1`)
    await connection.close()
  })

  test('come and go many times without harm', async () => {
    for (let round = 0; round < 4; round += 1) {
      const both = await Promise.all([startHere(), startHere()])
      await Promise.all(both.map((server) => server.release()))
    }
    await expect(postmasterPid(dataDir)).rejects.toHaveProperty('code', 'ENOENT')
  })
})

describe('after Ctrl-C', () => {
  beforeEach(begin)

  test('no server is left behind', async () => {
    const user = await use()
    expect(await signalGroup(user, 'SIGINT')).toBe(0)
    expect(await isRunning(user.serverPid)).toBe(false)
  })
})

describe('after a kill', () => {
  beforeEach(begin)

  test('of our process, the next one takes the server over and stops it', async () => {
    const killed = await use()
    await signalGroup(killed, 'SIGKILL')
    expect(await isRunning(killed.serverPid)).toBe(true)

    const server = await startHere()
    expect(await postmasterPid(dataDir)).toBe(killed.serverPid)
    expect(await visits(server)).toBe(1)
    await server.release()

    expect(await isRunning(killed.serverPid)).toBe(false)
  })

  test('of our process and the server, the next one recovers the database', async () => {
    const killed = await use()
    process.kill(killed.serverPid, 'SIGKILL')
    await signalGroup(killed, 'SIGKILL')
    await waitUntilGone(killed.serverPid)

    const server = await startHere()

    expect(await postmasterPid(dataDir)).not.toBe(killed.serverPid)
    expect(await visits(server)).toBe(1)
  })

  test('a process number that now belongs to another program does not stop the start', async () => {
    const killed = await use()
    process.kill(killed.serverPid, 'SIGKILL')
    await signalGroup(killed, 'SIGKILL')
    await waitUntilGone(killed.serverPid)
    const bystander = spawn('sleep', ['60'])
    try {
      const file = path.join(dataDir, 'postgres', 'postmaster.pid')
      const text = await readFile(file, 'utf8')
      await writeFile(file, text.replace(String(killed.serverPid), String(bystander.pid)))

      const server = await startHere()

      expect(await visits(server)).toBe(1)
      expect(bystander.exitCode).toBeNull()
    } finally {
      bystander.kill()
    }
  })

  test('an empty lock file, as a full disk leaves it, does not stop the start', async () => {
    expect(await signalGroup(await use(), 'SIGTERM')).toBe(0)
    const pidFile = path.join(dataDir, 'postgres', 'postmaster.pid')
    await writeFile(pidFile, '')
    await utimes(pidFile, new Date(0), new Date(0))
    expect(await visits(await startHere())).toBe(1)
  })

  test('a server whose socket folder was swept away is started anew', async () => {
    const killed = await use()
    await signalGroup(killed, 'SIGKILL')
    const pidFile = path.join(dataDir, 'postgres', 'postmaster.pid')
    const socketDir = (await readFile(pidFile, 'utf8')).split('\n')[4] ?? ''
    expect(path.basename(socketDir)).toMatch(/^alma-pg-/)
    await rm(socketDir, { recursive: true })

    const server = await startHere()

    expect(await postmasterPid(dataDir)).not.toBe(killed.serverPid)
    expect(await visits(server)).toBe(1)
  })
})

describe('a person in psql', () => {
  beforeEach(begin)

  test('is not cut off; the next run stops the server', async () => {
    const server = await startHere()
    const pid = await postmasterPid(dataDir)
    const person = connect(server.address)
    await person.db.execute(sql`set application_name = 'psql'`)

    await server.release()

    expect(await isRunning(pid)).toBe(true)
    await person.db.execute(sql`select 1`)
    await person.close()
    await (await startHere()).release()
    expect(await isRunning(pid)).toBe(false)
  })
})

describe('a folder that cannot be used', () => {
  const faultOf = (): Promise<unknown> => startHere().catch((error: unknown) => error)

  test('because a cluster of another version is there', async () => {
    await mkdir(path.join(dataDir, 'postgres'))
    await writeFile(path.join(dataDir, 'postgres', 'PG_VERSION'), '15\n')
    const fault = await faultOf()
    expect(fault).toBeInstanceOf(ConfigurationFault)
    expect(fault).toHaveProperty(
      'message',
      expect.stringMatching(/made by Postgres 15;.*Postgres 18/),
    )
  })

  test('because something else is there', async () => {
    await mkdir(path.join(dataDir, 'postgres'))
    await writeFile(path.join(dataDir, 'postgres', 'letter.txt'), 'Dear auditor')
    const fault = await faultOf()
    expect(fault).toBeInstanceOf(ConfigurationFault)
    expect(fault).toHaveProperty('message', expect.stringContaining('holds no Postgres cluster'))
    expect(await readFile(path.join(dataDir, 'postgres', 'letter.txt'), 'utf8')).toBe(
      'Dear auditor',
    )
  })

  test('because it is a file', async () => {
    const file = path.join(dataDir, 'file')
    await writeFile(file, '')
    await expect(startEmbedded({ dataDir: path.join(file, 'var') })).rejects.toBeInstanceOf(
      ConfigurationFault,
    )
  })

  test('because the server does not start on it: its own words are shown', async () => {
    await begin()
    const fault = await startEmbedded({ dataDir, settings: { work_mem: 'nonsense' } }).catch(
      (error: unknown) => error,
    )
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(fault).toHaveProperty('message', expect.stringContaining('nonsense'))
    expect(fault).toHaveProperty('hint', expect.stringContaining('postgres.log'))
  })

  test('a long path is no obstacle', async () => {
    const deep = path.join(dataDir, 'a'.repeat(100), 'b'.repeat(100))
    const server = await startEmbedded({ dataDir: deep, settings })
    servers.push(server)
    const connection = connect(server.address)
    await connection.db.execute(sql`select 1`)
    await connection.close()
  })
})
