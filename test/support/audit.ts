/**
 * Asks npm's registry for known vulnerabilities of what is installed with the product. Fails on severe
 * ones. Where the registry cannot be asked (no network, a mirror without that service) it says so, and
 * fails only with `--strict`: nobody should be kept from working by a network.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { z } from 'zod'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SEVERE: readonly string[] = ['high', 'critical']
const BYTES_MAX = 64 * 1024 * 1024

/** What `npm audit --json` prints (report version 2), as far as it is used. */
const reportShape = z.object({
  vulnerabilities: z.record(
    z.string(),
    z.object({
      severity: z.string(),
      range: z.string(),
      via: z.array(z.union([z.string(), z.object({ title: z.string(), url: z.string() })])),
    }),
  ),
})

/** Each severe vulnerability as a sentence; null if npm printed no report. */
export function severeVulnerabilities(printed: string): string[] | null {
  const report = reportShape.safeParse(jsonOf(printed))
  if (!report.success) return null
  return Object.entries(report.data.vulnerabilities)
    .filter(([, { severity }]) => SEVERE.includes(severity))
    .map(([name, { severity, range, via }]) => {
      const why = via.map((each) => (typeof each === 'string' ? each : `${each.title} ${each.url}`))
      return `${name} ${range} (${severity}): ${why.join('; ')}`
    })
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** npm's exit code says less than what it prints. */
async function npmAudit(): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      'npm',
      ['audit', '--omit=dev', '--json'],
      { cwd: ROOT, maxBuffer: BYTES_MAX, shell: process.platform === 'win32' },
      (_, stdout) => resolve(stdout),
    )
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const found = severeVulnerabilities(await npmAudit())
  if (found === null) {
    process.stdout.write('dependency audit: NOT DONE, the registry could not be asked\n')
    process.exitCode = process.argv.includes('--strict') ? 1 : 0
  } else {
    const list = found.map((each) => `\n  ${each}`).join('')
    process.stdout.write(`dependency audit: ${found.length} severe vulnerabilities${list}\n`)
    process.exitCode = found.length === 0 ? 0 : 1
  }
}
