/** Work on items side by side, a few at a time. */

/**
 * Works on each item, at most `atOnce` at a time, each begun in the order of the items. After a
 * failure nothing new is begun; it is thrown once what was under way has ended.
 * @param items asked for one by one, when there is somebody to work on the next.
 */
export async function severalAtOnce<T>(
  atOnce: number,
  items: AsyncIterable<T> | Iterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = oneByOne(items)
  let hasFailed = false
  const worker = async (): Promise<void> => {
    for await (const item of queue) {
      if (hasFailed) return
      await work(item)
    }
  }
  const workers = Array.from({ length: atOnce }, async () => {
    try {
      await worker()
    } catch (error) {
      hasFailed = true
      throw error
    }
  })
  for (const outcome of await Promise.allSettled(workers)) {
    if (outcome.status === 'rejected') throw outcome.reason
  }
}

/** An iterator that several loops share: leaving one of them does not end it for the others. */
function oneByOne<T>(items: AsyncIterable<T> | Iterable<T>): AsyncIterable<T> {
  const iterator =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const shared = { next: async (): Promise<IteratorResult<T>> => iterator.next() }
  return { [Symbol.asyncIterator]: () => shared }
}
