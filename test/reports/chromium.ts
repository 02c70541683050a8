/** A real Chromium for tests of pages. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** @throws Error saying how to install one, if there is none: a page nobody looked at is not tested. */
function findChromium(): string {
  const given = process.env['CHROMIUM_PATH'] ?? ''
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const candidates =
    given === '' ? folders.flatMap((folder) => NAMES.map((name) => join(folder, name))) : [given]
  const found = candidates.find(isExecutable)
  if (found !== undefined) return found
  throw new Error(
    given === ''
      ? 'no Chromium was found for the tests of report.html: install one (on Debian: apt-get install -y chromium) or name one in CHROMIUM_PATH'
      : `CHROMIUM_PATH is ${given}, where no program can be run`,
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  })
}
