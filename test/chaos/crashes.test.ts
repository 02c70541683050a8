/** A few kills of each kind; `npm run chaos` does hundreds, at other points. */
import { afterAll } from 'vitest'
import { crashesShown, strikeEach } from './in-short.ts'
import { forgetPrepared } from './crashes-embedded.ts'
import { forgetScenes } from './crashes.ts'

afterAll(async () => {
  await forgetScenes()
  await forgetPrepared()
})

strikeEach(crashesShown)
