/**
 * One run at a time per database. The lock belongs to a database session, so it cannot outlive its
 * process, and it needs no clean-up after a kill.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { LockedFault, UnavailableFault } from '../src/errors.ts'
import { advisoryKey } from './advisory-locks.ts'
import {
  APPLICATION_NAME,
  type DatabaseAddress,
  openSession,
  type Session,
  withReadableErrors,
} from './client.ts'
import { runningSince } from './runs.ts'

export interface RunLock {
  /** Aborted when the lock is lost: whatever is still going on should stop. */
  readonly lost: AbortSignal
  /** Asks the database; to be called before something that cannot be undone. */
  assertHeld(): Promise<void>
}

export interface RunLockOptions {
  /** Shown to whoever finds the lock held, e.g. `reconcile 2024-W12`. */
  readonly doing?: string
  /** How long to wait for a holder that is just ending; a killed one is gone within a second. */
  readonly waitMs?: number
}

const WAIT_MS = 3_000
const RETRY_MS = 100
/** Shorter than what routers give an idle connection, and than anybody's patience. */
const HEARTBEAT_MS = 15_000
const HEARTBEAT_TIMEOUT_MS = 10_000
/** How long work may take to stop after the lock was lost. */
const STOP_GRACE_MS = 10_000

/**
 * Runs `work` while holding the database's run lock, on a connection of its own.
 * @throws LockedFault if another run holds it; UnavailableFault if the server cannot be reached, or
 * if the lock's connection is lost before `work` is done. Then `lost` is aborted, and `work` is
 * waited for only a moment.
 */
export async function withRunLock<T>(
  address: DatabaseAddress,
  work: (lock: RunLock) => Promise<T>,
  { doing = 'a run', waitMs = WAIT_MS }: RunLockOptions = {},
): Promise<T> {
  const session = await openSession(address, `${APPLICATION_NAME}: ${doing}`)
  try {
    await withReadableErrors(session.where, () => acquire(session, waitMs))
    return await workWhileHeld(session, work)
  } finally {
    await session.close()
  }
}

async function acquire(session: Session, waitMs: number): Promise<void> {
  const giveUpAt = Date.now() + waitMs
  for (;;) {
    const [row] = await session.db.execute<{ acquired: boolean }>(
      sql`select pg_try_advisory_lock(${advisoryKey('run')}) as acquired`,
    )
    if (row?.acquired === true) return
    if (Date.now() >= giveUpAt) throw await lockedFault(session)
    await sleep(RETRY_MS)
  }
}

async function workWhileHeld<T>(session: Session, work: (lock: RunLock) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const lost = AbortSignal.any([session.lost, stop.signal])
  const beat = setInterval(() => {
    void holdsLock(session).then((held) => {
      if (!held) stop.abort()
    })
  }, HEARTBEAT_MS)
  beat.unref()
  const assertHeld = async (): Promise<void> => {
    if (lost.aborted || !(await holdsLock(session))) {
      stop.abort()
      throw lostFault(session)
    }
  }
  const done = work({ lost, assertHeld })
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

function afterLossAndGrace(lost: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const afterLoss = (): void => {
      setTimeout(resolve, STOP_GRACE_MS).unref()
    }
    if (lost.aborted) afterLoss()
    else lost.addEventListener('abort', afterLoss, { once: true })
  })
}

async function holdsLock({ db, lost }: Session): Promise<boolean> {
  if (lost.aborted) return false
  const asked = db
    .execute<{ held: boolean }>(
      sql`select exists (
            select from pg_locks where locktype = 'advisory' and objsubid = 1 and granted
            and pid = pg_backend_pid()
            and database = (select oid from pg_database where datname = current_database())
            and (classid::bigint << 32 | objid::bigint) = ${advisoryKey('run')}
          ) as held`,
    )
    .then(
      ([row]) => row?.held === true,
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

async function lockedFault({ db, where }: Session): Promise<LockedFault> {
  const [holder] = await db.execute<{ name: string; since: string; utc: string; pid: number }>(
    sql`select application_name as name, backend_start::text as since, pid,
          to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as utc
        from pg_stat_activity where pid = (
          select pid from pg_locks where locktype = 'advisory' and objsubid = 1 and granted
          and database = (select oid from pg_database where datname = current_database())
          and (classid::bigint << 32 | objid::bigint) = ${advisoryKey('run')} limit 1
        )`,
  )
  const hint =
    'Wait until it is done and run the same command again. If it hangs, end it: its lock goes with it.'
  if (holder === undefined) {
    return new LockedFault(`another run holds the lock of ${where}`, { hint })
  }
  // The table may not be there yet, and the name says enough.
  const doing =
    (await runningSince(db, holder.since).catch(() => null)) ??
    holder.name.replace(`${APPLICATION_NAME}: `, '')
  return new LockedFault(
    `another run holds the lock of ${where}: ${doing}, since ${holder.utc} UTC (session ${holder.pid})`,
    { hint },
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
