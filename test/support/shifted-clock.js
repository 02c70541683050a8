// @ts-check
/**
 * Loaded ahead of a program (`node --import`), it shifts that program's clock by CLOCK_SHIFT_MS, so that
 * a process of its own lives on the same day as the sandbox does.
 */
const shiftMs = Number(process.env['CLOCK_SHIFT_MS'] ?? '0')
const SystemDate = globalThis.Date

class ShiftedDate extends SystemDate {
  /** @param {any[]} parts */
  constructor(...parts) {
    if (parts.length === 0) super(SystemDate.now() + shiftMs)
    // @ts-expect-error Whatever the constructor takes is handed on as it is.
    else super(...parts)
  }

  static now() {
    return SystemDate.now() + shiftMs
  }
}

// A program reads the clock where it finds it; there is no other place to shift it from outside.
Object.assign(globalThis, { Date: ShiftedDate })
