/**
 * Uses the embedded Postgres in the given folder as a command would: starts or joins it, says so
 * with the server's process number, and leaves it on SIGINT or SIGTERM.
 */
import { sql } from 'drizzle-orm'
import { connect } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { postmasterPid } from './embedded.ts'

const dataDir = process.argv[2]
if (dataDir === undefined) throw new Error('a data folder was expected')

const server = await startEmbedded({ dataDir, settings: { fsync: 'off' } })
const connection = connect(server.address)
// One at a time: two that create the same table at once collide, though each says "if not exists".
await connection.db.transaction(async (tx) => {
  await tx.execute(sql`select pg_advisory_xact_lock(1)`)
  await tx.execute(sql`create table if not exists visits (at timestamptz default now())`)
})
await connection.db.execute(sql`insert into visits default values`)
const leave = (): void => {
  void connection
    .close()
    .then(() => server.release())
    .then(() => process.exit(0))
}
process.once('SIGINT', leave)
process.once('SIGTERM', leave)
process.stdout.write(`using ${await postmasterPid(dataDir)}\n`)
