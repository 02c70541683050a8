// @ts-check
/** Loaded ahead of a program whose memory is measured: it says at the end what the peak was. */
import { writeSync } from 'node:fs'

process.on('exit', () => {
  writeSync(process.stderr.fd, `\npeak ${process.resourceUsage().maxRSS} kB\n`)
})
