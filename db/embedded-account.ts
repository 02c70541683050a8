/**
 * Under which account the embedded Postgres runs. Postgres refuses to run as root, so as root it
 * runs under an ordinary account of the machine, and neither the checkout nor DATA_DIR need be
 * readable for that account: folders that are not ours are never changed.
 */
import { execFile } from 'node:child_process'
import { chown, readFile, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'
import { UnavailableFault } from '../src/errors.ts'

const run = promisify(execFile)

const PROBE_TIMEOUT_MS = 10_000
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv']
const UNSHARE = ['/usr/bin/unshare', '/bin/unshare']
const ROOT = { uid: 0, gid: 0 }

/** A program call as `child_process` takes it. */
interface Call {
  readonly file: string
  readonly args: readonly string[]
  readonly options: { readonly uid?: number; readonly gid?: number }
}

/** How programs of Postgres are started, and who must own what they write. */
export interface Launcher {
  /** For messages. */
  readonly description: string
  /** Null: this process's own account. */
  readonly owner: Account | null
  call(file: string, args: readonly string[]): Call
}

interface Account {
  readonly uid: number
  readonly gid: number
}

const ownAccount: Launcher = {
  description: 'the current account',
  owner: null,
  call: (file, args) => ({ file, args, options: {} }),
}

function otherAccount({ uid, gid }: Account): Launcher {
  return {
    description: `account ${uid}`,
    owner: { uid, gid },
    call: (file, args) => ({ file, args, options: { uid, gid } }),
  }
}

/**
 * The account's programs may pass folders that are closed to it. Postgres asks access(2), which
 * counts an ordinary account's capabilities only if the `no_setuid_fixup` bit is set.
 */
function otherAccountThatMayPass({ uid, gid }: Account, setpriv: string): Launcher {
  const rights = [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    '--securebits=+no_setuid_fixup',
    '--',
  ]
  return {
    description: `account ${uid} with setpriv`,
    owner: { uid, gid },
    call: (file, args) => ({ file: setpriv, args: [...rights, file, ...args], options: {} }),
  }
}

/**
 * This process's account under the number of another, as Postgres sees it; on disk everything stays
 * with `owner`, who is this process's account.
 */
function userNamespace(account: Account, unshare: string, owner: Account | null): Launcher {
  const mapped = ['--user', `--map-user=${account.uid}`, '--']
  return {
    description: 'a user namespace',
    owner,
    call: (file, args) => ({ file: unshare, args: [...mapped, file, ...args], options: {} }),
  }
}

interface Needs {
  /** Folders in which Postgres will write; they are given to the account. */
  readonly ownFolders: readonly string[]
  /** Files it will run or read. */
  readonly programs: readonly string[]
  /** The folder whose owner is taken over if that is an ordinary account. */
  readonly dataDir: string
  /** The cluster's folder if there is one: whoever owns it must run it. */
  readonly cluster: string | null
}

/**
 * Chooses the way in which Postgres can be run here, and gives `ownFolders` to its account.
 * @throws UnavailableFault if there is none.
 */
export async function chooseLauncher(needs: Needs): Promise<Launcher> {
  const ownUid = process.getuid?.()
  if (ownUid === undefined) return ownAccount
  const clusterOwner = needs.cluster === null ? null : await stat(needs.cluster)
  if (ownUid !== 0) {
    if (clusterOwner !== null && clusterOwner.uid !== ownUid) {
      throw new UnavailableFault(
        `the embedded database in ${needs.cluster ?? ''} belongs to account ${clusterOwner.uid}, and this is account ${ownUid}`,
        {
          hint: 'Run the command under the account that created it (or as root), or choose another folder with DATA_DIR.',
        },
      )
    }
    return hasName() ? ownAccount : ownAccountWithName(needs)
  }
  for (const launcher of await waysAsRoot(needs.dataDir, clusterOwner)) {
    if (await works(launcher, needs)) return launcher
  }
  throw new UnavailableFault(
    `no ordinary account of this machine can run the embedded Postgres on ${needs.dataDir}, and Postgres refuses to run as root`,
    {
      hint: 'Run the command under an ordinary account, choose a folder that others may enter with DATA_DIR, or set DATABASE_URL to use a Postgres server instead.',
    },
  )
}

/** initdb asks for the name of its account; containers run programs under numbers without one. */
function hasName(): boolean {
  try {
    return userInfo().username !== ''
  } catch {
    return false
  }
}

async function ownAccountWithName(needs: Needs): Promise<Launcher> {
  const unshare = await firstThere(UNSHARE)
  const named = (await localAccounts()).get('nobody')
  if (unshare === null || named === undefined) return ownAccount
  const launcher = userNamespace(named, unshare, null)
  // Without it initdb says itself what is missing.
  return (await works(launcher, needs)) ? launcher : ownAccount
}

async function waysAsRoot(dataDir: string, clusterOwner: Account | null): Promise<Launcher[]> {
  const setpriv = await firstThere(SETPRIV)
  const unshare = await firstThere(UNSHARE)
  const accounts = await localAccounts()
  const ordinary = accounts.get('postgres') ?? accounts.get('nobody') ?? null
  const ways: Launcher[] = []
  if (clusterOwner === null || clusterOwner.uid !== 0) {
    const account = clusterOwner ?? (await ordinaryOwner(dataDir, accounts)) ?? ordinary
    if (account !== null) {
      ways.push(otherAccount(account))
      if (setpriv !== null) ways.push(otherAccountThatMayPass(account, setpriv))
    }
  }
  // A cluster of another account cannot be opened from a namespace in which only root is known.
  if ((clusterOwner === null || clusterOwner.uid === 0) && unshare !== null && ordinary !== null) {
    ways.push(userNamespace(ordinary, unshare, ROOT))
  }
  return ways
}

/** The owner of DATA_DIR, so that its account can run the same database later without root. */
async function ordinaryOwner(
  dataDir: string,
  accounts: ReadonlyMap<string, Account>,
): Promise<Account | null> {
  const { uid } = await stat(dataDir)
  if (uid === 0) return null
  // initdb needs an account that the machine knows by name.
  return [...accounts.values()].find((account) => account.uid === uid) ?? null
}

async function localAccounts(): Promise<Map<string, Account>> {
  const accounts = new Map<string, Account>()
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '')
  for (const line of text.split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name === undefined || uid === undefined || gid === undefined) continue
    // macOS writes nobody's number as -2.
    accounts.set(name, { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 })
  }
  return accounts
}

async function firstThere(candidates: readonly string[]): Promise<string | null> {
  for (const candidate of candidates) {
    if ((await stat(candidate).catch(() => null)) !== null) return candidate
  }
  return null
}

/** Succeeds if the first $1 folders may be entered and written to, and the files after them run. */
const PROBE = `n=$1; shift
while [ "$n" -gt 0 ]; do cd "$1" && [ -w . ] || exit 1; shift; n=$((n - 1)); done
for file; do [ -x "$file" ] || exit 1; done`

async function works(launcher: Launcher, needs: Needs): Promise<boolean> {
  const { owner } = launcher
  const folders = needs.ownFolders
  const { file, args, options } = launcher.call('/bin/sh', [
    '-c',
    PROBE,
    'probe',
    String(folders.length),
    ...folders,
    ...needs.programs,
  ])
  try {
    for (const folder of folders) {
      if (owner !== null) await chown(folder, owner.uid, owner.gid)
    }
    await run(file, [...args], { ...options, cwd: '/', timeout: PROBE_TIMEOUT_MS })
    return true
  } catch {
    return false
  }
}
