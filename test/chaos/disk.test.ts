/** No room, or no right to write. Where nobody may mount a small disk, the outcome says so. */
import { afterAll } from 'vitest'
import { forgetScenes } from './crashes.ts'
import { diskFaultsShown, strikeEach } from './in-short.ts'

afterAll(forgetScenes)

strikeEach(diskFaultsShown)
