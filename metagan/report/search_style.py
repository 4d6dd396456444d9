"""Rules of the page about a search, beside those that all pages share."""

SEARCH_STYLE = """
:root { --q0: #0a5a8f; --q1: #4b8ab3; --q2: #87aec8; --q3: #b3c6d3; --q4: #ced6dc; }
@media (prefers-color-scheme: dark) {
  :root { --q0: #8fcbf2; --q1: #5c9ac3; --q2: #426f8d; --q3: #35536a; --q4: #2c3f4e; }
}
.search .front { stroke-width: 1.9; }
.search .level { stroke-dasharray: 6 4; stroke-width: 1.4; }
.search .curve { stroke: var(--base); stroke-width: 1; opacity: 0.5; }
.search .curve.best { stroke: var(--second); stroke-width: 2.2; opacity: 1; }
.search circle { stroke-width: 1.5; }
.search circle.full { fill: var(--accent); stroke: var(--paper); stroke-width: 0.7; }
.search circle.ring { fill: var(--paper); stroke: var(--base); }
.search circle.best { fill: var(--second); stroke: var(--paper); }
.search text.cross { fill: var(--bad); font-size: 13px; font-weight: 600; }
.search .trial { stroke-width: 1.2; opacity: 0.85; }
.search .trial.q0 { stroke: var(--q0); } .search .trial.q1 { stroke: var(--q1); }
.search .trial.q2 { stroke: var(--q2); } .search .trial.q3 { stroke: var(--q3); }
.search .trial.q4 { stroke: var(--q4); }
.search .trial.none { stroke: var(--bad); stroke-dasharray: 2 4; opacity: 0.7; }
.search .trial.best { stroke: var(--second); stroke-width: 2.6; opacity: 1; }
.search .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px;
  stroke-linejoin: round; }
.search .name { fill: var(--ink); font-size: 12px; }
.legend i.sign { width: 0.6rem; height: 0.6rem; border-radius: 50%; flex: none; }
.legend i.full { background: var(--accent); } .legend i.best { background: var(--second); }
.legend i.ring { border: 1.5px solid var(--base); }
.legend i.cross { width: auto; height: auto; font-style: normal; }
.legend i.cross::before { content: "\\00d7"; color: var(--bad); font-weight: 600;
  line-height: 0.6rem; }
.legend i.dash { height: 0; background: none; border-top: 2px dashed var(--base); }
.legend i.dash.s1 { border-color: var(--second); }
.legend i.thin { height: 1px; }
.swatches { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; font-size: 0.78rem; color: var(--muted); margin: 0.4rem 0 0; }
.swatch { display: inline-block; width: 1.1rem; height: 0.55rem; margin-right: 2px; }
.swatch.best, .swatch.none { margin-right: 0.4rem; }
.swatch.q0 { background: var(--q0); } .swatch.q1 { background: var(--q1); }
.swatch.q2 { background: var(--q2); } .swatch.q3 { background: var(--q3); }
.swatch.q4 { background: var(--q4); } .swatch.best { background: var(--second); }
.swatch.none { background: none; height: 0; border-top: 2px dotted var(--bad);
  vertical-align: middle; }
code.id { white-space: nowrap; }
.search .dots li { max-width: min(17rem, 38vw); overflow: hidden; text-overflow: ellipsis; }
.search .chance { fill: var(--rule); }
tr.best > * { background: var(--mark); color: var(--mark-ink); }
"""
