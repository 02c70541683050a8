/** `db:distribute`: the tables of a Citus coordinator, spread over its servers by entity. */
import { distributeTables } from '../db/distribute.ts'
import { withReadableErrors } from '../db/client.ts'
import type { Config } from '../src/config.ts'
import { ConfigurationFault, EXIT, type ExitCode } from '../src/errors.ts'
import type { CommandIo } from './command.ts'
import { useDatabase, withRun } from './compose.ts'

/** @throws ConfigurationFault where there is no Citus, with what to do. */
export async function distributeCommand(config: Config, io: CommandIo): Promise<ExitCode> {
  if (config.databaseUrl === null) {
    throw new ConfigurationFault('the embedded Postgres is one server and cannot be distributed', {
      hint: 'Set DATABASE_URL to the coordinator of a Citus cluster. The README tells from which size on that is worth it.',
    })
  }
  const opened = await useDatabase(config, io)
  const record = { command: 'db:distribute', period: null, asOf: null, dryRun: false }
  return withRun(opened, record, async (db) => {
    const { distributed, reference, already } = await withReadableErrors(opened.where, () =>
      distributeTables(db, opened.where),
    )
    const names = (list: readonly string[]): string =>
      list.length === 0 ? '' : ` (${list.join(', ')})`
    io.out(
      [
        `${opened.where}:`,
        `  distributed by entity: ${distributed.length}${names(distributed)}`,
        `  copied to every server: ${reference.length}${names(reference)}`,
        `  as they should be already: ${already}`,
        '',
      ].join('\n'),
    )
    return EXIT.done
  })
}
