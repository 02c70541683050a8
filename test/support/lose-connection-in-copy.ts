/** Cuts its own connection in the middle of a COPY and prints the fault that comes of it. */
import { sql } from 'drizzle-orm'
import { connect, copyFrom, faultOfLostConnection, withReadableErrors } from '../../db/client.ts'
import { Fault } from '../../src/errors.ts'

const url = process.argv[2]
if (url === undefined) throw new Error('the URL of a database was expected')

const end = (error: unknown): never => {
  const fault = error instanceof Fault ? error : faultOfLostConnection(error)
  process.stdout.write(
    fault === null
      ? `other: ${String(error)}`
      : `${fault.name} ${fault.exitCode}: ${fault.message}`,
  )
  process.exit(0)
}

process.on('uncaughtException', end)
const { db, where } = connect({ url })
async function* rowsWithKill(pid: number): AsyncGenerator<string> {
  for (let id = 0; id < 20_000; id += 1) {
    if (id === 200) await db.execute(sql`select pg_terminate_backend(${pid}::integer)`)
    yield `${id}\t${'x'.repeat(1_000)}\n`
  }
}
await withReadableErrors(where, () =>
  db.transaction(async (tx) => {
    const [session] = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    await copyFrom(tx, sql`copy cells (id, words) from stdin`, rowsWithKill(Number(session?.pid)))
  }),
).catch((error: unknown) => {
  // The driver may throw a moment later.
  setTimeout(() => end(error), 200)
})
