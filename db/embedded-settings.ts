/**
 * Settings of the embedded server, chosen for the machine. It runs for minutes a night, for one job,
 * on a machine that has other things to do: it takes an eighth of the memory at most, where a
 * dedicated server takes a quarter, and returns all of it when it stops.
 */
import { statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'

/** What the choice depends on. */
export interface Machine {
  /** Memory that this process may use: the machine's, or its container's where that is less. */
  readonly memoryBytes: number
  /** Free space where the cluster lies, for this account. */
  readonly diskFreeBytes: number
  /** Processors that this process may use. */
  readonly cores: number
}

/** Names to values as `postgres -c` takes them. */
export type ServerSettings = Readonly<Record<string, string>>

const MB = 1024 ** 2
const GB = 1024 ** 3

/** The server's setting that says how many workers may help a full proof; other servers have none. */
export const PROOF_WORKERS = 'alma_reconcile.proof_workers'
/** More would wait for the memory, and the machine has other things to do. */
const PROOF_WORKERS_MAX = 3

/** Reads the machine; `folder` exists and lies where the cluster will. */
export async function thisMachine(folder: string): Promise<Machine> {
  const { bavail, bsize } = await statfs(folder)
  // Without a limit the system states a number beyond any memory.
  const limitBytes = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return {
    memoryBytes: Math.min(totalmem(), limitBytes),
    diskFreeBytes: bavail * bsize,
    cores: availableParallelism(),
  }
}

/**
 * Batch settings. Durability is not traded for speed: `fsync`, `full_page_writes` and
 * `synchronous_commit` stay on, because a report that was mailed, a decision or a closed period must
 * not be forgotten after a power cut, and a night commits too seldom to gain from less.
 */
export function chooseSettings({ memoryBytes, diskFreeBytes, cores }: Machine): ServerSettings {
  const megabytes = (bytes: number, leastMb: number, mostMb: number): string =>
    `${Math.round(Math.min(Math.max(bytes / MB, leastMb), mostMb))}MB`
  return {
    shared_buffers: megabytes(memoryBytes / 8, 32, 1024),
    effective_cache_size: megabytes(memoryBytes / 2, 128, 1024 ** 2),
    // Of each sort and each hash (twice that) of a statement; a night runs a few statements at once.
    work_mem: megabytes(memoryBytes / 128, 4, 128),
    maintenance_work_mem: megabytes(memoryBytes / 32, 32, 512),
    // Where a node reserves huge pages that its containers may not touch, a server that takes them dies.
    huge_pages: 'off',
    // A back-fill writes gigabytes of WAL: fewer checkpoints write fewer full pages.
    max_wal_size: megabytes(diskFreeBytes / 8, 128, 2048),
    checkpoint_timeout: '15min',
    // These binaries know pglz only, which costs more time than it saves.
    wal_compression: 'off',
    // A query that spills that much has lost its way: better it fails than the disk is full.
    temp_file_limit: megabytes(diskFreeBytes / 2, 512, 1024 ** 2),
    // Compiling pays for queries of seconds, and the planner's guess of which ones these are is poor.
    jit: 'off',
    // Only a full proof is work enough to be shared; it asks for this setting of ours.
    max_parallel_workers_per_gather: '0',
    max_parallel_maintenance_workers: '0',
    [PROOF_WORKERS]: String(Math.min(cores - 1, PROOF_WORKERS_MAX)),
    // What its workers share lies in memory that is reserved at the start and touched when used, beyond
    // that in files beside the data: a container's /dev/shm of 64 MB would not hold it.
    min_dynamic_shared_memory: megabytes(memoryBytes / 64, 4, 256),
    ...(process.platform === 'win32' ? {} : { dynamic_shared_memory_type: 'mmap' }),
  }
}

/** One line for people: what was chosen, and for what. */
export function describeSettings(machine: Machine): string {
  const { shared_buffers, work_mem, maintenance_work_mem, max_wal_size } = chooseSettings(machine)
  const memory =
    machine.memoryBytes < GB
      ? `${Math.round(machine.memoryBytes / MB)} MB`
      : `${Math.round(machine.memoryBytes / GB)} GB`
  return `for ${memory} of memory: shared_buffers ${shared_buffers}, work_mem ${work_mem}, maintenance_work_mem ${maintenance_work_mem}, max_wal_size ${max_wal_size}; every commit is durable`
}
