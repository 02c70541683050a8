/**
 * HTML as values: what is put into a template is escaped unless it is markup itself, so that a text
 * of a bank or of the provider can never become part of the page's structure.
 */
import { compareText } from '../../src/domain/collections.ts'
import { type Currency, formatAmount } from '../../src/domain/money.ts'

/** Markup that is safe to write as it is. Made by `markup` only. */
export interface Html {
  readonly markup: string
}

type Piece = Html | string | number | null | readonly Html[]

/** Numbers and texts are escaped, lists of markup are joined, null is nothing. */
export function markup(strings: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  const written = pieces.map(write)
  return { markup: strings.map((text, at) => text + (written[at] ?? '')).join('') }
}

export const nothing: Html = markup``

function write(piece: Piece): string {
  if (piece === null) return ''
  if (typeof piece === 'string') return escape(piece)
  if (typeof piece === 'number') return String(piece)
  return 'markup' in piece ? piece.markup : piece.map((part) => part.markup).join('')
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Control characters but tab and line ends; and those that turn or hide the text around them. */
const UNSAFE = /(?![\t\n\r])[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (sign) => ESCAPES[sign] ?? '').replaceAll(UNSAFE, '\ufffd')
}

/** An amount with its thousands set apart by space that is not copied along: `12 204.50` reads and pastes as `12204.50`. */
export function amount(amountMinor: bigint, currency: Currency): Html {
  const text = formatAmount(amountMinor, currency)
  const [, sign = '', digits = '', rest = ''] = /^(-?)(\d+)(.*)$/.exec(text) ?? []
  const groups = digits.match(/\d{1,3}(?=(\d{3})*$)/g) ?? []
  const [first = '', ...others] = groups
  return markup`<span class="n">${sign}${first}${others.map((group) => markup`<span class="k">${group}</span>`)}${rest}</span>`
}

/** An amount with its currency. */
export function money(amountMinor: bigint, currency: Currency): Html {
  return markup`${amount(amountMinor, currency)} ${currency}`
}

/** An id as it stands in the files; it may break anywhere, so that it fits a phone. */
export function code(text: string): Html {
  return markup`<code>${text}</code>`
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** The name of a place on the page; the same parts give the same name. */
export function anchor(kind: string, ...parts: readonly string[]): string {
  const name = parts.map((part) =>
    part.replaceAll(/[^A-Za-z0-9]/g, (sign) => `_${(sign.codePointAt(0) ?? 0).toString(16)}_`),
  )
  return [kind, ...name].join('-')
}

/** A column of a table: `n` for figures, which stand right; `drawing` repeats figures of its row. */
export interface TableColumn {
  readonly title: string
  readonly kind?: 'n' | 'drawing'
}

export interface TableRow {
  readonly id?: string
  readonly className?: string
  readonly cells: readonly Html[]
}

/**
 * A table that becomes a list of cards on a phone: each cell knows its column's title. The roles say
 * what the tags would, because browsers forget it once the cells are laid out as blocks.
 */
export function table({
  caption,
  columns,
  rows,
  foot = [],
}: {
  readonly caption: string
  readonly columns: readonly TableColumn[]
  readonly rows: readonly TableRow[]
  readonly foot?: readonly TableRow[]
}): Html {
  const line = ({ id, className, cells }: TableRow): Html =>
    markup`<tr role="row"${attribute('id', id)}${attribute('class', className)}>
${cells.map((cell, at) => {
  const { title = '', kind } = columns[at] ?? {}
  return at === 0
    ? markup`<th scope="row" role="rowheader"${attribute('class', kind)}>${cell}</th>\n`
    : markup`<td role="cell" data-label="${title}"${attribute('class', kind)}><div>${cell}</div></td>\n`
})}</tr>
`
  return markup`<table role="table">
<caption>${caption}</caption>
<thead role="rowgroup">
<tr role="row">
${columns.map(({ title, kind }) => markup`<th scope="col" role="columnheader"${attribute('class', kind)}>${title}</th>\n`)}</tr>
</thead>
<tbody role="rowgroup">
${rows.map(line)}</tbody>
${foot.length === 0 ? null : markup`<tfoot role="rowgroup">\n${foot.map(line)}</tfoot>\n`}</table>
`
}

function attribute(name: 'class' | 'id', value: string | undefined): Html {
  return value === undefined ? nothing : { markup: ` ${name}="${escape(value)}"` }
}

/** Sums by currency as `12.00 EUR + 3.00 USD`; `none` where there is nothing. */
export function moneyList(sums: ReadonlyMap<Currency, bigint>, none: string): Html {
  const parts = [...sums].toSorted(([a], [b]) => compareText(a, b))
  if (parts.length === 0) return markup`${none}`
  return markup`${parts.map(([currency, minor], at) => markup`${at === 0 ? '' : ' + '}${money(minor, currency)}`)}`
}
