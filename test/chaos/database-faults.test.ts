/** The database away in the middle of a night; what takes the job long to notice is in `npm run chaos`. */
import { afterAll } from 'vitest'
import { forgetScenes } from './crashes.ts'
import { databaseFaultsShown, strikeEach } from './in-short.ts'

afterAll(forgetScenes)

strikeEach(databaseFaultsShown)
