import { FRANCE } from './france.ts'
import { GERMANY } from './germany.ts'
import { ITALY } from './italy.ts'
import { NETHERLANDS } from './netherlands.ts'
import { ONLINE } from './online.ts'
import { type CsvProfile, type ProfileSource, profileSchema } from './profile.ts'

/** The profiles that come with the tool, as they are written; users' profiles may extend them. */
export const BUILT_IN_SOURCES: readonly ProfileSource[] = [
  ...FRANCE,
  ...ONLINE,
  ...GERMANY,
  ...NETHERLANDS,
  ...ITALY,
]

export const BUILT_IN_PROFILES: readonly CsvProfile[] = BUILT_IN_SOURCES.map((source) =>
  profileSchema.parse(source),
)
