/** Data exports: asked for, waited for, fetched. */
import { setTimeout as wait } from 'node:timers/promises'
import type { EpochSeconds } from '../domain/day.ts'
import { Fault, UnavailableFault } from '../errors.ts'
import { type ProviderClient, RefusedRequest } from './client.ts'
import { type DownloadTarget, type DownloadedFile, writeBody } from './download.ts'
import {
  type Attempt,
  type HttpAnswer,
  isSafeUrl,
  isTransientStatus,
  networkFailure,
  retryAfterMs,
  type RetryPolicy,
  send,
  withRetries,
} from './http.ts'
import { type DataExport, readDataExport } from './wire.ts'

const EXPORTS_PATH = '/v1/data-exports'
const DOWNLOAD_SILENCE_MS = 30_000
const DOWNLOAD_RETRY_LIMIT = 4
const DOWNLOAD_REDIRECTS_MAX = 5

/** Fetches from whatever host an export points to, without the key. */
export interface Downloader {
  /**
   * `refused`: the address is not, or no longer, good for anybody without the key.
   * @throws UnavailableFault when all attempts failed, or for an address that is neither `https:`
   * nor on this machine.
   */
  download(
    address: string,
    target: DownloadTarget,
  ): Promise<DownloadedFile | { readonly refused: number }>
}

export interface DownloaderOptions {
  readonly retryLimit?: number
  readonly silenceMs?: number
  readonly onRetry?: (text: string) => void
  readonly sleep?: (waitMs: number) => Promise<void>
}

/** Asks for all ledger movements from `startS` to `endS`. Made again only where it surely was not received. */
export async function requestAccountingExport(
  client: ProviderClient,
  { startS, endS }: { startS: EpochSeconds; endS: EpochSeconds },
): Promise<DataExport> {
  const body = await client.postJson(EXPORTS_PATH, {
    type: 'accounting',
    start: startS,
    end: endS,
    include_child_accounts: false,
  })
  return readDataExport(body, 'the answer to the request of a data export')
}

/** Null: the provider does not know the export (any more). */
export async function fetchDataExport(
  client: ProviderClient,
  id: string,
): Promise<DataExport | null> {
  try {
    const body = await client.getJson(`${EXPORTS_PATH}/${encodeURIComponent(id)}`)
    return readDataExport(body, `data export ${id}`)
  } catch (error) {
    if (error instanceof RefusedRequest && error.status === 404) return null
    throw error
  }
}

export function createDownloader(options: DownloaderOptions = {}): Downloader {
  const { silenceMs = DOWNLOAD_SILENCE_MS } = options
  const policy: RetryPolicy = {
    retryLimit: options.retryLimit ?? DOWNLOAD_RETRY_LIMIT,
    onRetry: options.onRetry ?? (() => undefined),
    sleep: options.sleep ?? ((waitMs) => wait(waitMs)),
  }
  return {
    async download(address, target) {
      const url = safeUrl(address, null)
      // Only the host is ever named: the rest of a pre-signed address is as good as a password.
      const what = `the download from ${url.host}`
      return withRetries(policy, what, () => attemptDownload(url, target, what, silenceMs))
    },
  }
}

async function attemptDownload(
  from: URL,
  target: DownloadTarget,
  what: string,
  silenceMs: number,
): Promise<Attempt<DownloadedFile | { refused: number }>> {
  let url = from
  try {
    for (let redirects = 0; redirects <= DOWNLOAD_REDIRECTS_MAX; redirects += 1) {
      const answer = await send({ method: 'GET', url, headers: {}, totalMs: null, silenceMs })
      if (answer.status >= 200 && answer.status < 300) {
        return { done: await writeBody(answer, target) }
      }
      answer.dispose()
      const next = redirectOf(answer, url)
      if (next === null) return judgeStatus(answer, what)
      url = next
    }
  } catch (error) {
    const failure = error instanceof Fault ? null : networkFailure(error)
    if (failure === null) throw error
    return { failed: failure.text }
  }
  throw new UnavailableFault(`${what} was redirected more than ${DOWNLOAD_REDIRECTS_MAX} times`, {
    hint: 'Run the same command again later; the export is kept and fetched again.',
  })
}

function redirectOf(answer: HttpAnswer, from: URL): URL | null {
  const { location } = answer.headers
  const isRedirect = answer.status >= 300 && answer.status < 400 && location !== undefined
  return isRedirect ? safeUrl(location, from) : null
}

function judgeStatus(answer: HttpAnswer, what: string): Attempt<{ refused: number }> {
  const { status } = answer
  if (isTransientStatus(status)) {
    return { failed: `HTTP ${status}`, retryAfterMs: retryAfterMs(answer.headers) }
  }
  // Stores of pre-signed addresses differ in how they say "expired"; each of these means ours is no good.
  if (status >= 400 && status < 500) return { done: { refused: status } }
  throw new UnavailableFault(`${what} failed: HTTP ${status}`, {
    hint: 'Run the same command again later; the export is kept and fetched again.',
  })
}

function safeUrl(address: string, base: URL | null): URL {
  const given = base === null ? undefined : base.href
  const url = URL.canParse(address, given) ? new URL(address, given) : null
  if (url !== null && isSafeUrl(url)) return url
  throw new UnavailableFault(
    `the provider points to ${url === null ? 'something that is no address' : `${url.protocol}//${url.host}`} for the file of a data export; https was expected`,
    { hint: 'Run the same command again; if it persists, report the message above.' },
  )
}

/**
 * The CSV of a complete export into a file: from the address it names, else from a fresh address,
 * else from the API itself with the key.
 */
export async function downloadExportCsv(
  client: ProviderClient,
  downloader: Downloader,
  complete: DataExport,
  target: DownloadTarget,
): Promise<DownloadedFile> {
  let { csvUrl } = complete
  for (let round = 0; round < 2; round += 1) {
    if (csvUrl !== null) {
      const outcome = await downloader.download(csvUrl, target)
      if (!('refused' in outcome)) return outcome
    }
    if (round === 0) csvUrl = (await fetchDataExport(client, complete.id))?.csvUrl ?? null
  }
  const path = `${EXPORTS_PATH}/${encodeURIComponent(complete.id)}`
  const outcome = await client.download(path, { format: 'csv' }, target)
  if (!('elsewhere' in outcome)) return outcome
  const last = await downloader.download(outcome.elsewhere.href, target)
  if (!('refused' in last)) return last
  throw new UnavailableFault(
    `the file of data export ${complete.id} cannot be fetched: ${outcome.elsewhere.host} answered HTTP ${last.refused}`,
    { hint: 'Run the same command again later; the export is kept and fetched again.' },
  )
}
