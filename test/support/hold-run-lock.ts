/** Takes the run lock of the database whose URL is given, says so, and holds it until it is killed. */
import { withRunLock } from '../../db/run-lock.ts'

const url = process.argv[2]
if (url === undefined) throw new Error('the URL of a database was expected')

await withRunLock({ url }, async () => {
  process.stdout.write('held\n')
  await new Promise((resolve) => setTimeout(resolve, 60_000))
})
