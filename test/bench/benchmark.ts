export interface BenchLine {
  readonly what: string
  readonly measured: string
  readonly floor: string
  readonly ratio: number | null
  readonly bar: string
  readonly met: boolean
}

export interface Benchmark {
  readonly name: string
  readonly run: (args: { readonly rows: number }) => Promise<readonly BenchLine[]>
}
