/** Cuts its own connection in the middle of a transaction and prints the fault that comes of it. */
import { sql } from 'drizzle-orm'
import { connect, faultOfLostConnection, withReadableErrors } from '../../db/client.ts'
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
await withReadableErrors(where, () =>
  db.transaction(async (tx) => {
    await tx.execute(sql`select pg_terminate_backend(pg_backend_pid())`)
  }),
).catch((error: unknown) => {
  // The driver may throw a moment later.
  setTimeout(() => end(error), 200)
})
