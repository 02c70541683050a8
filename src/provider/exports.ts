/** Data exports: asked for, waited for, fetched. */
import { setTimeout as wait } from 'node:timers/promises'
import type { EpochSeconds } from '../domain/day.ts'
import { Fault, UnavailableFault } from '../errors.ts'
import { type ProviderClient, RefusedRequest } from './client.ts'
import { type DownloadTarget, type DownloadedFile, writeBody } from './download.ts'
import {
  type Attempt,
  type HttpAnswer,
  isLoopback,
  isSafeUrl,
  isTransientStatus,
  networkFailure,
  retryAfterMs,
  type RetryPolicy,
  send,
  withRetries,
} from './http.ts'
import { mayBePublic, NOT_PUBLIC } from './public-host.ts'
import { type DataExport, readDataExport } from './wire.ts'

const EXPORTS_PATH = '/v1/data-exports'
const DOWNLOAD_SILENCE_MS = 30_000
const DOWNLOAD_RETRY_LIMIT = 4
const DOWNLOAD_REDIRECTS_MAX = 5

/** Fetches from whatever host an export points to, without the key. */
export interface Downloader {
  /**
   * `refused`: the address is not, or no longer, good for anybody without the key.
   * @param apiUrl the API that points there. Only one on this machine may point to addresses that are
   * not public.
   * @throws UnavailableFault when all attempts failed, or for an address that is neither `https:`
   * nor on this machine, or not a public one.
   */
  download(
    address: string,
    target: DownloadTarget,
    apiUrl: string,
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
    async download(address, target, apiUrl) {
      const reach = { anywhere: isLoopback(new URL(apiUrl).hostname), silenceMs }
      const url = safeUrl(address, null, reach)
      // Only the host is ever named: the rest of a pre-signed address is as good as a password.
      const what = `the download from ${url.host}`
      return withRetries(policy, what, () => attemptDownload(url, target, what, reach))
    },
  }
}

/** How a download may go. */
interface Reach {
  /** Also to addresses that are not public. */
  readonly anywhere: boolean
  readonly silenceMs: number
}

async function attemptDownload(
  from: URL,
  target: DownloadTarget,
  what: string,
  reach: Reach,
): Promise<Attempt<DownloadedFile | { refused: number }>> {
  let url = from
  try {
    for (let redirects = 0; redirects <= DOWNLOAD_REDIRECTS_MAX; redirects += 1) {
      const answer = await send({
        method: 'GET',
        url,
        headers: {},
        totalMs: null,
        silenceMs: reach.silenceMs,
        publicOnly: !reach.anywhere,
      })
      if (answer.status >= 200 && answer.status < 300) {
        return { done: await writeBody(answer, target) }
      }
      answer.dispose()
      const next = redirectOf(answer, url, reach)
      if (next === null) return judgeStatus(answer, what)
      url = next
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === NOT_PUBLIC) {
      throw strangeAddress(url, 'its name leads to an address that is not public')
    }
    const failure = error instanceof Fault ? null : networkFailure(error)
    if (failure === null) throw error
    return { failed: failure.text }
  }
  throw new UnavailableFault(`${what} was redirected more than ${DOWNLOAD_REDIRECTS_MAX} times`, {
    hint: 'Run the same command again later; the export is kept and fetched again.',
  })
}

function redirectOf(answer: HttpAnswer, from: URL, reach: Reach): URL | null {
  const { location } = answer.headers
  const isRedirect = answer.status >= 300 && answer.status < 400 && location !== undefined
  return isRedirect ? safeUrl(location, from, reach) : null
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

function safeUrl(address: string, base: URL | null, { anywhere }: Reach): URL {
  const given = base === null ? undefined : base.href
  const url = URL.canParse(address, given) ? new URL(address, given) : null
  if (url === null || !isSafeUrl(url)) throw strangeAddress(url, 'https was expected')
  if (!anywhere && (isLoopback(url.hostname) || !mayBePublic(url.hostname))) {
    throw strangeAddress(url, 'that is not a public address')
  }
  return url
}

function strangeAddress(url: URL | null, why: string): UnavailableFault {
  return new UnavailableFault(
    `the provider points to ${url === null ? 'something that is no address' : `${url.protocol}//${url.host}`} for the file of a data export; ${why}`,
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
      const outcome = await downloader.download(csvUrl, target, client.baseUrl)
      if (!('refused' in outcome)) return outcome
    }
    if (round === 0) csvUrl = (await fetchDataExport(client, complete.id))?.csvUrl ?? null
  }
  const path = `${EXPORTS_PATH}/${encodeURIComponent(complete.id)}`
  const outcome = await client.download(path, { format: 'csv' }, target)
  if (!('elsewhere' in outcome)) return outcome
  const last = await downloader.download(outcome.elsewhere.href, target, client.baseUrl)
  if (!('refused' in last)) return last
  throw new UnavailableFault(
    `the file of data export ${complete.id} cannot be fetched: ${outcome.elsewhere.host} answered HTTP ${last.refused}`,
    { hint: 'Run the same command again later; the export is kept and fetched again.' },
  )
}
