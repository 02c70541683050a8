/**
 * Runs side by side, but each entity in one run at a time. A run holds its entities from its
 * beginning to its end, and what they have in common (bank files, reports, mails) for as long as it
 * needs it. The locks belong to a database session, so they cannot outlive their process, and need
 * no clean-up after a kill.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type SQL, sql } from 'drizzle-orm'
import { LockedFault, UnavailableFault } from '../src/errors.ts'
import { advisoryKey, type LockName } from './advisory-locks.ts'
import {
  APPLICATION_NAME,
  type DatabaseAddress,
  inTime,
  openSession,
  type Session,
  withReadableErrors,
} from './client.ts'

export interface RunLock {
  /** Aborted when the locks are lost: whatever is still going on should stop. */
  readonly lost: AbortSignal
  /** Asks the database; to be called before something that cannot be undone. */
  assertHeld(): Promise<void>
  /**
   * Runs `work` while no other run takes in bank files, judges, reports or mails; waits for its turn.
   * May be nested.
   * @throws LockedFault if the turn does not come.
   */
  withCommon<T>(work: () => Promise<T>): Promise<T>
  /**
   * Runs `work` while holding these entities as well, besides those that the run has anyway.
   * @throws LockedFault if another run does not let go of one.
   */
  withEntities<T>(entities: readonly string[], work: () => Promise<T>, waitMs?: number): Promise<T>
  /**
   * Takes one more lock if nobody stands against it. It is the run's until it lets it go or ends; one
   * that it has already it gets again, and has to let go as often.
   */
  tryTake(name: LockName, mode?: LockMode): Promise<boolean>
  letGo(name: LockName, mode?: LockMode): Promise<void>
}

/** `shared`: beside others that hold it so. */
type LockMode = 'alone' | 'shared'

/** What a run must have for itself from its beginning to its end. */
export type RunScope =
  | 'database'
  /** These, which may be none. */
  | { readonly entities: readonly string[] }
  | 'common'

export interface RunLockOptions {
  /** Shown to whoever finds the lock held, e.g. `reconcile 2024-W12`. */
  readonly doing?: string
  /** By default the whole database. */
  readonly scope?: RunScope
  /** How long to wait for a holder that is just ending; a killed one is gone within a second. */
  readonly waitMs?: number
  /** How long to wait for one's turn at what entities have in common. */
  readonly commonWaitMs?: number
  /** Told when the turn is some time in coming, and who has it. */
  readonly onWait?: (text: string) => void
}

interface Held {
  readonly name: LockName
  readonly mode: LockMode
}

const WAIT_MS = 3_000
const RETRY_MS = 100
/** Longer than the largest bank file and the slowest mail server take. */
const COMMON_WAIT_MS = 15 * 60_000
const COMMON_WAIT_TOLD_AFTER_MS = 2_000
/** Shorter than what routers give an idle connection, and than anybody's patience. */
const HEARTBEAT_MS = 15_000
const HEARTBEAT_TIMEOUT_MS = 10_000
/** How long work may take to stop after the lock was lost. */
const STOP_GRACE_MS = 10_000

/**
 * Runs `work` while holding what `scope` names, on a connection of its own.
 * @throws LockedFault if another run holds some of it; UnavailableFault if the server cannot be
 * reached, or if the locks' connection is lost before `work` is done. Then `lost` is aborted, and
 * `work` is waited for only a moment.
 */
export async function withRunLock<T>(
  address: DatabaseAddress,
  work: (lock: RunLock) => Promise<T>,
  { doing = 'a run', scope = 'database', waitMs = WAIT_MS, ...turns }: RunLockOptions = {},
): Promise<T> {
  const session = await openSession(address, `${APPLICATION_NAME}: ${doing}`)
  try {
    const wanted = locksOf(scope)
    await withReadableErrors(session.where, () =>
      inTime(session.where, acquire(session, wanted, waitMs), waitMs),
    )
    return await workWhileHeld(session, wanted, work, turns)
  } finally {
    await session.close()
  }
}

/** In an order that is the same for every run, so that no two wait for each other. */
function locksOf(scope: RunScope): Held[] {
  if (scope === 'database') return [{ name: 'run', mode: 'alone' }]
  if (scope === 'common') {
    return [
      { name: 'run', mode: 'shared' },
      { name: 'common', mode: 'alone' },
    ]
  }
  return [{ name: 'run', mode: 'shared' }, ...entityLocks(scope.entities)]
}

function entityLocks(entities: readonly string[]): Held[] {
  return [...new Set(entities)]
    .toSorted()
    .map((entity) => ({ name: `entity ${entity}`, mode: 'alone' }))
}

/** All of them or, once this throws, none. */
async function acquire(session: Session, wanted: readonly Held[], waitMs: number): Promise<void> {
  const giveUpAt = Date.now() + waitMs
  const taken: Held[] = []
  try {
    for (const { name, mode } of wanted) {
      while (!(await tryTake(session, name, mode))) {
        if (Date.now() >= giveUpAt) throw await lockedFault(session, name, wanted.length > 2)
        await sleep(RETRY_MS)
      }
      taken.push({ name, mode })
    }
  } catch (error) {
    for (const { name, mode } of taken) await letGo(session, name, mode)
    throw error
  }
}

async function tryTake({ db }: Session, name: LockName, mode: LockMode): Promise<boolean> {
  const key = advisoryKey(name)
  const [row] = await db.execute<{ acquired: boolean }>(
    mode === 'alone'
      ? sql`select pg_try_advisory_lock(${key}) as acquired`
      : sql`select pg_try_advisory_lock_shared(${key}) as acquired`,
  )
  return row?.acquired === true
}

async function letGo({ db, lost }: Session, name: LockName, mode: LockMode): Promise<void> {
  // With a lost connection the locks are gone already.
  if (lost.aborted) return
  const key = advisoryKey(name)
  await db.execute(
    mode === 'alone'
      ? sql`select pg_advisory_unlock(${key})`
      : sql`select pg_advisory_unlock_shared(${key})`,
  )
}

async function workWhileHeld<T>(
  session: Session,
  wanted: readonly Held[],
  work: (lock: RunLock) => Promise<T>,
  { commonWaitMs = COMMON_WAIT_MS, onWait }: Pick<RunLockOptions, 'commonWaitMs' | 'onWait'>,
): Promise<T> {
  const stop = new AbortController()
  const lost = AbortSignal.any([session.lost, stop.signal])
  const beat = setInterval(() => {
    void holdsLocks(session, wanted).then((held) => {
      if (!held) stop.abort()
    })
  }, HEARTBEAT_MS)
  beat.unref()
  const assertHeld = async (): Promise<void> => {
    if (lost.aborted || !(await holdsLocks(session, wanted))) {
      stop.abort()
      throw lostFault(session)
    }
  }
  const readable = <R>(ask: () => Promise<R>): Promise<R> => withReadableErrors(session.where, ask)
  const done = work({
    lost,
    assertHeld,
    withCommon: async (inTurn) => {
      await readable(() => waitForTurn(session, commonWaitMs, onWait))
      try {
        return await inTurn()
      } finally {
        await letGo(session, 'common', 'alone').catch(() => stop.abort())
      }
    },
    withEntities: async (entities, held, entitiesWaitMs = WAIT_MS) => {
      const more = entityLocks(entities)
      await readable(() => acquire(session, more, entitiesWaitMs))
      try {
        return await held()
      } finally {
        for (const { name, mode } of more) {
          await letGo(session, name, mode).catch(() => stop.abort())
        }
      }
    },
    tryTake: (name, mode = 'alone') => readable(() => tryTake(session, name, mode)),
    letGo: (name, mode = 'alone') => readable(() => letGo(session, name, mode)),
  })
  try {
    await Promise.race([done, afterLossAndGrace(lost)])
    await assertHeld()
    return await done
  } catch (error) {
    // Whatever failed after the loss most likely failed because of it.
    throw lost.aborted && !(error instanceof UnavailableFault) ? lostFault(session, error) : error
  } finally {
    clearInterval(beat)
    done.catch(() => undefined)
  }
}

async function waitForTurn(
  session: Session,
  waitMs: number,
  onWait: RunLockOptions['onWait'],
): Promise<void> {
  const since = Date.now()
  let told = onWait === undefined
  while (!(await tryTake(session, 'common', 'alone'))) {
    const waitedMs = Date.now() - since
    if (waitedMs >= waitMs) throw await lockedFault(session, 'common')
    if (!told && waitedMs >= COMMON_WAIT_TOLD_AFTER_MS) {
      told = true
      const holder = await holderOf(session, 'common')
      onWait?.(
        `waiting for another run that takes in bank files or writes a report${holder === null ? '' : ` (${holder})`}`,
      )
    }
    await sleep(RETRY_MS)
  }
}

function afterLossAndGrace(lost: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const afterLoss = (): void => {
      setTimeout(resolve, STOP_GRACE_MS).unref()
    }
    if (lost.aborted) afterLoss()
    else lost.addEventListener('abort', afterLoss, { once: true })
  })
}

/** How `pg_locks` shows a session-level lock by a number of 64 bits, in this database. */
const ADVISORY = sql`locktype = 'advisory' and objsubid = 1 and granted
  and database = (select oid from pg_database where datname = current_database())`
const ADVISORY_KEY = sql`(classid::bigint << 32 | objid::bigint)`

async function holdsLocks({ db, lost }: Session, wanted: readonly Held[]): Promise<boolean> {
  if (lost.aborted) return false
  const keys: SQL[] = wanted.map(({ name }) => advisoryKey(name))
  const asked = db
    .execute<{ held: number }>(
      sql`select count(distinct ${ADVISORY_KEY})::int as held from pg_locks
          where ${ADVISORY} and pid = pg_backend_pid() and ${ADVISORY_KEY} in (${sql.join(keys, sql`, `)})`,
    )
    .then(
      ([row]) => row?.held === wanted.length,
      () => false,
    )
  const timeout = new AbortController()
  const late = sleep(HEARTBEAT_TIMEOUT_MS, false, { signal: timeout.signal, ref: false }).catch(
    () => false,
  )
  const held = await Promise.race([asked, late])
  timeout.abort()
  return held
}

/** What the holder of a lock does and since when, e.g. `reconcile 2024-W12, since … UTC (session 7)`. */
async function holderOf({ db }: Session, name: LockName): Promise<string | null> {
  const [holder] = await db.execute<{ name: string; utc: string; pid: number }>(
    sql`select application_name as name, pid,
          to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as utc
        from pg_stat_activity where pid = (
          select pid from pg_locks
          where ${ADVISORY} and ${ADVISORY_KEY} = ${advisoryKey(name)} order by pid limit 1
        )`,
  )
  if (holder === undefined) return null
  const doing = holder.name.replace(`${APPLICATION_NAME}: `, '')
  return `${doing}, since ${holder.utc} UTC (session ${holder.pid})`
}

async function lockedFault(
  session: Session,
  name: LockName,
  isOneOfSeveral = false,
): Promise<LockedFault> {
  const holder = await holderOf(session, name)
  const whose = isOneOfSeveral ? ` (${name})` : ''
  return new LockedFault(
    `another run holds the lock of ${session.where}${whose}${holder === null ? '' : `: ${holder}`}`,
    {
      hint: 'Wait until it is done and run the same command again. If it hangs, end it: its lock goes with it.',
    },
  )
}

function lostFault({ where }: Session, cause?: unknown): UnavailableFault {
  return new UnavailableFault(
    `the connection to ${where} that held the run lock was lost, so the run stopped: another one may have begun`,
    {
      hint: 'What was stored until then is kept. Run the same command again; if this happens often, look for something that cuts idle connections.',
      cause,
    },
  )
}
