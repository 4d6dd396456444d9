"""How the page looks: one style sheet for light and dark, phone and desktop, screen and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f6f7f8; --ink: #1b2025; --muted: #56606a; --rule: #d8dde2;
  --strong-rule: #8d98a3; --accent: #0a5a8f; --second: #a94a12; --base: #606b76;
  --good: #1c6b3c; --bad: #a32b24; --mark: #fdf3d8; --mark-ink: #5c4300;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --panel: #1c2125; --ink: #e3e7ea; --muted: #a0abb5; --rule: #30373d;
    --strong-rule: #66717c; --accent: #74b9e8; --second: #eda06a; --base: #9aa6b1;
    --good: #7fcf9d; --bad: #f0938b; --mark: #362c12; --mark-ink: #f0d695;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: auto; }
body {
  margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 17px/1.6 Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif;
}
.page { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem 5rem; }
p, ul, ol { max-width: 44rem; margin: 0 0 0.9rem; }
ul { padding-left: 1.2rem; }
li { margin: 0.15rem 0; }
a { color: var(--accent); text-underline-offset: 0.15em; }
a:focus-visible, summary:focus-visible, .scroll:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px;
}
h3, h4, .kicker, nav, table, figure, dl, summary, .note, .tiles, pre, code, .chart, .picture,
footer {
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1, h2, h3, h4 { line-height: 1.25; font-weight: 600; text-wrap: balance; }
h1 { font-size: 2.1rem; margin: 0.2rem 0 1rem; letter-spacing: -0.01em; }
h2 {
  font-size: 1.45rem; margin: 3.6rem 0 1rem; padding-top: 1.1rem;
  border-top: 1px solid var(--rule);
}
h3 { font-size: 1.02rem; margin: 2rem 0 0.6rem; }
h4 { font-size: 0.92rem; margin: 1.4rem 0 0.4rem; font-weight: 500; }
header { padding-top: 3rem; }
.kicker { color: var(--muted); font-size: 0.85rem; margin: 0; }
.lead { font-size: 1.28rem; line-height: 1.5; max-width: 48rem; margin-bottom: 1rem; }
.muted { color: var(--muted); }
.good { color: var(--good); } .bad { color: var(--bad); }
nav { font-size: 0.88rem; margin: 1.8rem 0 0; }
nav ol { list-style: none; display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; padding: 0;
  margin: 0; max-width: none; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1px;
  background: var(--rule); border: 1px solid var(--rule); margin: 1.8rem 0; }
.tile { background: var(--paper); padding: 0.9rem 1.1rem; display: grid;
  grid-row: span 3; grid-template-rows: subgrid; gap: 0.1rem; align-items: end; }
.tile dt { color: var(--muted); font-size: 0.82rem; line-height: 1.35; align-self: start; }
.tile dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.tile dd.more { font-size: 0.82rem; color: var(--muted); align-self: start; line-height: 1.35; }
.note { background: var(--panel); border-left: 3px solid var(--strong-rule); font-size: 0.92rem;
  line-height: 1.5; padding: 0.75rem 1rem; margin: 1.2rem 0; max-width: 48rem; }
.note.warning { background: var(--mark); color: var(--mark-ink); border-color: currentColor; }
.note p, .note ul { margin-bottom: 0.4rem; } .note > :last-child { margin-bottom: 0; }
.scroll { overflow-x: auto; margin: 0.8rem 0 1.6rem;
  /* A shade at the side where more is to be seen; covers of paper scroll over it. */
  background: linear-gradient(to right, var(--paper) 40%, transparent) left / 2.4rem 100% local,
    linear-gradient(to left, var(--paper) 40%, transparent) right / 2.4rem 100% local,
    linear-gradient(to right, var(--rule), transparent) left / 0.8rem 100%,
    linear-gradient(to left, var(--rule), transparent) right / 0.8rem 100%;
  background-repeat: no-repeat; }
table { border-collapse: collapse; font-size: 0.86rem; line-height: 1.4; min-width: 100%; }
caption { text-align: left; padding: 0 0 0.55rem; color: var(--muted); }
caption span { position: sticky; left: 0; display: inline-block; overflow-wrap: anywhere;
  max-width: min(44rem, calc(100vw - 2.5rem)); }
caption b { color: var(--ink); font-weight: 600; }
th, td { padding: 0.36rem 0.6rem; text-align: left; vertical-align: baseline;
  overflow-wrap: break-word; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-weight: 600; border-top: 1.5px solid var(--ink); border-bottom: 1px solid
  var(--strong-rule); vertical-align: bottom; }
tbody tr:last-child > * { border-bottom: 1.5px solid var(--ink); }
tbody tr.first > * { border-top: 1px solid var(--rule); }
tbody th { font-weight: 400; }
.num { text-align: right; font-variant-numeric: tabular-nums lining-nums; }
tbody .num { white-space: nowrap; }
td code { overflow-wrap: anywhere; }
.text { min-width: 5.5rem; } .prose { min-width: 15rem; }
.ends { color: var(--muted); }
tr.changed td:nth-child(2) code { background: var(--mark); color: var(--mark-ink);
  padding: 0.12rem 0.4rem; margin-left: -0.4rem; }
dl.facts { display: grid; grid-template-columns: minmax(8rem, 12rem) 1fr; gap: 0 1.4rem;
  font-size: 0.9rem; line-height: 1.5; margin: 0 0 1.6rem; border-top: 1px solid var(--rule); }
dl.facts > div { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1;
  border-bottom: 1px solid var(--rule); padding: 0.45rem 0; }
dl.facts dt { color: var(--muted); } dl.facts dd { margin: 0; }
code, pre { font-family: ui-monospace, "Cascadia Mono", "SF Mono", Menlo, Consolas,
  "Liberation Mono", monospace; font-size: 0.9em; }
pre { background: var(--panel); border: 1px solid var(--rule); padding: 0.8rem 1rem;
  font-size: 0.82rem; line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere;
  margin: 0.5rem 0 1.2rem; }
figure { margin: 1.2rem 0 2rem; }
figcaption { font-size: 0.86rem; line-height: 1.45; color: var(--muted); margin-bottom: 0.6rem; }
figcaption b { color: var(--ink); font-weight: 600; }
details { margin: 0.6rem 0 1.4rem; } summary { cursor: pointer; font-size: 0.92rem;
  color: var(--accent); }
img { display: block; max-width: 100%; height: auto; image-rendering: pixelated; }
.picture .body { display: grid; grid-template-columns: minmax(5rem, 9.5rem) 1fr; gap: 0.7rem; }
.picture .rows { display: grid; grid-auto-rows: 1fr; font-size: 0.74rem; line-height: 1.15;
  color: var(--muted); text-align: right; padding: 0; margin: 1.5rem 0 0; list-style: none; }
.picture .rows li { display: flex; align-items: center; justify-content: flex-end; margin: 0;
  min-height: 0; overflow: hidden; }
.picture .groups { display: flex; gap: 0.7rem; align-items: flex-start; }
.picture .group { min-width: 0; }
.picture .group p { font-size: 0.8rem; line-height: 1.5rem; height: 1.5rem; margin: 0;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.picture img { width: 100%; }
.picture .rows-text { display: none; }
.grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 0 2.2rem; }
.grid3 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 0 2rem; }
.chart { margin: 1rem 0 1.4rem; }
.chart svg { display: block; overflow: visible; width: 100%; }
.chart svg svg { overflow: hidden; }
.chart text { fill: var(--muted); font-size: 11px; font-variant-numeric: tabular-nums; }
.chart .gridline { stroke: var(--rule); stroke-width: 1; }
.chart .axis { stroke: var(--strong-rule); stroke-width: 1; }
.chart .mark { stroke: var(--strong-rule); stroke-width: 1; stroke-dasharray: 3 3; }
.chart path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.chart .raw { stroke-width: 1; opacity: 0.32; } .chart .smooth { stroke-width: 1.9; }
.chart .s0 { stroke: var(--accent); } .chart .s1 { stroke: var(--second); }
.chart .s2 { stroke: var(--base); }
.chart .dot { stroke: none; } .chart .whisker { stroke-width: 2; }
.chart circle.s0, .chart rect.s0 { fill: var(--accent); }
.chart circle.s1, .chart rect.s1 { fill: var(--second); }
.chart circle.s2, .chart rect.s2 { fill: var(--base); }
.plot { display: grid; grid-template-columns: 3.4rem minmax(0, 1fr); }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; list-style: none; padding: 0;
  margin: 0.3rem 0 0 3.4rem; font-size: 0.78rem; color: var(--muted); }
.legend li { display: flex; align-items: center; gap: 0.4rem; margin: 0; }
.legend i { width: 1.1rem; height: 3px; } .legend i.box { height: 0.7rem; width: 0.7rem; }
.k0 { background: var(--accent); } .k1 { background: var(--second); }
.k2 { background: var(--base); }
.dots { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0 0.9rem;
  font-size: 0.8rem; }
.dots ol { list-style: none; margin: 0; padding: 0; }
.dots li { height: 1.6rem; line-height: 1.6rem; margin: 0; white-space: nowrap; }
.dots li.head { font-weight: 600; }
.dots .value { text-align: right; font-variant-numeric: tabular-nums; color: var(--muted); }
.bar { display: flex; height: 1.5rem; overflow: hidden; gap: 1px; }
.bar span { min-width: 0; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--rule);
  font-size: 0.82rem; color: var(--muted); }
@media (max-width: 40rem) {
  body { font-size: 16px; }
  .page { padding: 0 1rem 3rem; }
  header { padding-top: 1.6rem; }
  h1 { font-size: 1.65rem; } h2 { font-size: 1.28rem; margin-top: 2.6rem; }
  .lead { font-size: 1.12rem; }
  .tiles { grid-template-columns: 1fr 1fr; } .tile { padding: 0.7rem 0.8rem; }
  .tile dd { font-size: 1.25rem; }
  caption span { max-width: calc(100vw - 2rem); }
  dl.facts { grid-template-columns: 1fr; } dl.facts > div { display: block; }
  .picture .body { display: block; } .picture .rows { display: none; }
  .picture .rows-text { display: block; margin: 0.5rem 0 0; }
  .picture .groups { flex-direction: column; } .picture .group { width: 100%; flex: auto; }
  .picture .group img { width: var(--share); }
  .dots { gap: 0 0.6rem; font-size: 0.76rem; }
  .dots.wide-values { grid-template-columns: auto minmax(0, 1fr); }
  .dots.wide-values .value { display: none; }
}
@media print {
  body { font-size: 10.5pt; } nav { display: none; } .scroll { overflow: visible; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""
