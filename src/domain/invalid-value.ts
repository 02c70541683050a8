/**
 * A text that is not a value of its type: `2023-W53`, `12..34`, `2024-02-30`. The message names what
 * was found and what was expected; whoever knows the place (a flag, a file and line) adds it.
 */
export class InvalidValue extends Error {
  override readonly name = 'InvalidValue'
}
