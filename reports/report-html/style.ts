/**
 * The page's only style sheet. Colours are pairs for light and dark that keep a contrast of 4.5 : 1
 * for text (WCAG AA); nothing is told by colour alone.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fff; --panel: #f6f7f8; --ink: #1b1f24; --soft: #545c66; --rule: #d5dade; --link: #0b57a4;
  --good: #176639; --good-fill: #2f8a57; --warn: #7c4a03; --warn-fill: #b9770e; --bad: #a1221c; --bad-fill: #c4453e;
  --base-fill: #48627d; --weekend: #e6e9ec; --target: #fff4cf;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --panel: #1e2328; --ink: #e8eaed; --soft: #a9b2bc; --rule: #3a424b; --link: #8cbcf0;
    --good: #7fd0a0; --good-fill: #4fa878; --warn: #eab765; --warn-fill: #cf9433; --bad: #f3a19b; --bad-fill: #d9655d;
    --base-fill: #7f9cba; --weekend: #2a3037; --target: #3d3517;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; }
main, header, footer, nav { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
code { font: .86em/1.4 ui-monospace, SFMono-Regular, Consolas, "Liberation Mono", monospace; overflow-wrap: anywhere; }
small, .soft { color: var(--soft); }
small { font-size: .85rem; }
.eyebrow { color: var(--soft); margin: 0 0 .25rem; }
.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
.k { margin-left: .17em; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.verdict { background: var(--panel); border-left: .4rem solid var(--good-fill); padding: 1rem 1.25rem; margin: 1.25rem 0 1rem; }
.verdict.warn-edge { border-color: var(--warn-fill); }
.verdict.bad-edge { border-color: var(--bad-fill); }
.verdict p { margin: .2rem 0; font-size: 1.1rem; }
.verdict p:first-child { font-size: 1.3rem; font-weight: 650; }
.verdict .split { font-size: 1rem; }
.since { background: var(--panel); padding: .1rem 1.25rem .6rem; margin: .75rem 0; }
.since h3 { margin-top: .75rem; }
.changes { margin: .25rem 0 .5rem; padding-left: 1.2rem; }
.changes li { margin: .2rem 0; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0; margin: 1rem 0; border: 1px solid var(--rule); }
.figures div { padding: .75rem 1rem; border: .5px solid var(--rule); }
.figures dt { color: var(--soft); font-size: .88rem; }
.figures dd { margin: .1rem 0 0; font-size: 1.25rem; font-weight: 600; }
.figures dd small { display: block; font-weight: 400; }
.notes { border: 1px solid var(--warn-fill); padding: .25rem 1.25rem .75rem; margin: 1rem 0; }
.notes h2 { border: 0; margin: .5rem 0 .25rem; padding: 0; font-size: 1.05rem; }
.notes ul { margin: 0; padding-left: 1.2rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 1rem 0 0; padding: 0; }
table { border-collapse: collapse; width: 100%; margin: .75rem 0 1.25rem; font-size: .93rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; font-weight: 400; border-bottom: 1px solid var(--rule); }
tbody th { min-width: 8rem; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .85rem; vertical-align: bottom; border-bottom: 1px solid var(--soft); }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.sum > *, tfoot > tr > * { font-weight: 650; border-top: 1px solid var(--soft); }
td small, th small { display: block; overflow-wrap: anywhere; }
.wide { display: block; min-width: 14rem; }
.payout { display: block; min-width: 12.5rem; }
:target { background: var(--target); }
.bar { display: block; width: 100%; height: 1.15rem; min-width: 8rem; }
.strip { display: block; width: 100%; height: 1.15rem; min-width: 24rem; }
.trend { display: block; width: 100%; height: 2.25rem; min-width: 8rem; }
.fill-base { fill: var(--base-fill); } .fill-good { fill: var(--good-fill); } .fill-warn { fill: var(--warn-fill); } .fill-bad { fill: var(--bad-fill); }
.fill-weekend { fill: var(--weekend); } .fill-rule { fill: var(--rule); } .fill-ink { fill: var(--ink); }
.key { display: inline-block; width: .8em; height: .8em; margin-right: .35em; vertical-align: -.05em; }
.key.fill-base { background: var(--base-fill); } .key.fill-good { background: var(--good-fill); } .key.fill-warn { background: var(--warn-fill); } .key.fill-bad { background: var(--bad-fill); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: .25rem 0; font-size: .88rem; color: var(--soft); }
article { border: 1px solid var(--rule); border-left: .35rem solid var(--bad-fill); padding: .85rem 1.15rem; margin: .9rem 0; break-inside: avoid; }
article.calm { border-left-color: var(--good-fill); }
article.old { border-left-color: var(--warn-fill); }
.title { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .1rem 1.5rem; align-items: baseline; }
.title h4 { margin: 0; font-size: 1.05rem; }
.title strong { font-size: 1.1rem; }
.meta { color: var(--soft); font-size: .88rem; margin: .1rem 0 .5rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 1.5rem; }
.next { margin: .6rem 0; }
.next b { display: block; font-size: .85rem; color: var(--soft); font-weight: 600; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .15rem 1.5rem; margin: .6rem 0 0; font-size: .88rem; }
dl.facts div { border-top: 1px solid var(--rule); padding: .25rem 0; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.tag { white-space: nowrap; }
footer { border-top: 1px solid var(--rule); margin-top: 3rem; padding-top: 1rem; padding-bottom: 3rem; color: var(--soft); font-size: .9rem; }
@media screen and (max-width: 46rem) {
  main, header, footer, nav { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.55rem; }
  table, caption, tbody, tfoot, tr, th, td { display: block; width: 100%; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border-bottom: 1px solid var(--soft); padding: .5rem 0; }
  tbody th, tfoot th, td { border: 0; padding: .12rem 0; }
  .sum > *, tfoot > tr > * { border-top: 0; }
  tbody th, tfoot th { font-weight: 600; }
  td[data-label] { display: flex; justify-content: space-between; gap: 1rem; text-align: right; }
  td[data-label]::before { content: attr(data-label); color: var(--soft); text-align: left; font-weight: 400; flex: none; }
  td[data-label] > div { min-width: 0; overflow-wrap: anywhere; }
  td.drawing { display: block; }
  td.drawing::before { display: none; }
  td.n, th.n { white-space: normal; }
  th.n { text-align: left; }
  .bar, .strip, .trend { min-width: 0; }
  .wide, .payout { min-width: 0; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --panel: #f3f4f5; --ink: #000; --soft: #444; --rule: #bbb; --link: #000;
    --good: #0d4f2a; --good-fill: #2f8a57; --warn: #5c3700; --warn-fill: #b9770e; --bad: #84150f; --bad-fill: #c4453e;
    --base-fill: #48627d; --weekend: #e6e9ec; --target: #fff; }
  @page { size: A4; margin: 14mm 12mm; }
  html { font-size: 9pt; }
  body { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  /* A foot that browsers repeat on each page would stand above rows that it already counts. */
  tfoot { display: table-row-group; }
  main, header, footer { max-width: none; padding: 0; }
  nav { display: none; }
  a { text-decoration: none; }
  h2, h3 { break-after: avoid; }
  h2 { margin-top: 1.5rem; }
  tr { break-inside: avoid; }
  th, td { padding: .2rem .4rem .2rem 0; }
  .wide, .payout { min-width: 10rem; }
  article { padding: .5rem .8rem; }
  .pair { display: flex; }
  .pair > * { flex: 1; }
  .bar, .strip { min-width: 12rem; height: .9rem; }
  #stake ~ table, #waterfall ~ table, #arrivals ~ table { break-inside: avoid; }
  [aria-labelledby='stake'], [aria-labelledby='waterfall'] { break-inside: avoid; }
}
`
