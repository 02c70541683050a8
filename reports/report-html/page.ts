/**
 * `report.html`: the period on one page for a person. Nothing is loaded from elsewhere and no script
 * runs; what it says follows from the facts alone, so the same facts give the same bytes, but for the
 * section about earlier periods.
 */
import { arrivalsSection } from './arrivals.ts'
import { pageOf, type ReportHtmlInput } from './context.ts'
import { discrepanciesSection, nextSection, stakeSection } from './discrepancies.ts'
import { headSection } from './head.ts'
import { historySection } from './history.ts'
import { markup } from './markup.ts'
import { proofSection } from './proof.ts'
import { STYLE } from './style.ts'
import { openItemsSection, refundsSection, settlementsSection } from './tables.ts'
import { waterfallSection } from './waterfall.ts'

export type { ReportHtmlInput } from './context.ts'

/** The browser itself is told to load nothing and to run nothing. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

export function reportHtml(input: ReportHtmlInput): string {
  const page = pageOf(input)
  const { label } = page.reconciliation.period
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta http-equiv="Content-Security-Policy" content="${POLICY}" />
<meta name="referrer" content="no-referrer" />
<title>Alma ${label}: reconciliation</title>
<style>${{ markup: STYLE }}</style>
</head>
<body>
${headSection(page)}
<main>
${proofSection(page)}${discrepanciesSection(page)}${stakeSection(page)}${nextSection(page)}${waterfallSection(page)}${arrivalsSection(page)}${historySection(page)}${settlementsSection(page)}${refundsSection(page)}${openItemsSection(page)}
</main>
<footer>
<p>All rows stand in the CSV files beside this page; <code>manifest.json</code> holds their SHA-256, and this page’s. Amounts are in the currency named with them, signed from the merchant’s side. A difference is what was found less what was expected.</p>
</footer>
</body>
</html>
`.markup
}
