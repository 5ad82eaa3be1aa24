"""The look of a report: light and dark, narrow and wide, on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #16202b; --soft: #4c5a69; --edge: #d5dbe2; --accent: #0a5bb0;
  --tint: #eaf2fb; --s0: #0a5bb0; --s1: #b84300; --s2: #00735a; --s3: #9c2f7c; --s4: #7a5a00; --s5: #0b7285;
  --s6: #5b45b5; --s7: #5c6670;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f141a; --card: #182029; --ink: #e8edf2; --soft: #a8b5c2; --edge: #33404d; --accent: #7ab8f5;
    --tint: #1c2c3d; --s0: #7ab8f5; --s1: #ff9d66; --s2: #4fd3ab; --s3: #ec9ad2; --s4: #e8bd4a; --s5: #67d1e3;
    --s6: #b8a6ff; --s7: #b4bec8;
  }
}
* { box-sizing: border-box; }
html { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: break-word; }
header, main, footer { max-width: 70rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
header { padding-top: clamp(1.5rem, 5vw, 3.5rem); }
main:focus { outline: none; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.7rem, 5vw, 2.6rem); letter-spacing: -0.02em; margin: 0.2rem 0 0.6rem; }
h2 { font-size: clamp(1.3rem, 3.4vw, 1.7rem); letter-spacing: -0.01em; margin: 0 0 0.9rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 0.7rem; }
p { margin: 0 0 0.8rem; max-width: 46rem; text-wrap: pretty; }
a { color: var(--accent); text-underline-offset: 0.2em; }
:focus-visible, video:focus-within { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: 4px; }
.skip { position: absolute; left: 1rem; top: -5rem; padding: 0.6rem 1rem; background: var(--card);
  border-radius: 0 0 8px 8px; }
.skip:focus { top: 0; z-index: 1; }
.eyebrow { margin: 0; color: var(--soft); font-size: 0.85rem; }
.lead { font-size: 1.1rem; color: var(--soft); }
.note, figcaption, caption { color: var(--soft); font-size: 0.875rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.5rem; padding: 0; margin: 1.2rem 0 0; list-style: none; }
nav a { display: block; padding: 0.4rem 0.85rem; border: 1px solid var(--edge); border-radius: 999px;
  background: var(--card); text-decoration: none; font-size: 0.9rem; }
nav a:hover { background: var(--tint); }
section { margin: 1.6rem 0; padding: clamp(1rem, 3vw, 2rem); background: var(--card);
  border: 1px solid var(--edge); border-radius: 14px; scroll-margin-top: 1rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1.5rem 2rem;
  align-items: start; }
figure { margin: 0; min-width: 0; }
figcaption { margin-top: 0.5rem; }
img, video, .chart { display: block; max-width: 100%; height: auto; }
.chart { width: 100%; max-width: 32rem; }
img { border-radius: 6px; }
.picture img { background: #fff; }
.film { display: grid; gap: 0.5rem; max-width: 40rem; margin: 1rem 0 0.8rem; }
.picture { margin-bottom: 1.2rem; }
video { width: 100%; background: #000; border-radius: 6px; }
.hero { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 0.9rem; margin: 0 0 0.8rem; }
.hero strong { font-size: clamp(2.4rem, 9vw, 3.6rem); line-height: 1.1; letter-spacing: -0.03em; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 8.5rem), 1fr));
  gap: 0.9rem 1.5rem; margin: 0 0 1rem; }
.facts > div { border-top: 2px solid var(--edge); padding-top: 0.35rem; min-width: 0; }
.facts.long { grid-template-columns: 1fr; gap: 0.6rem; }
.facts.long dd { font-weight: 400; }
.facts dt { color: var(--soft); font-size: 0.8rem; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1rem 0 1.2rem; }
table { border-collapse: collapse; min-width: 100%; font-size: 0.9rem; }
caption { text-align: left; padding-bottom: 0.5rem; }
th, td { padding: 0.45rem 0.8rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--edge); }
th:first-child { padding-left: 0; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 11rem; }
.figures thead th { white-space: nowrap; }
.figures td { font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 0.875em/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; background: var(--tint);
  border-radius: 4px;
  padding: 0.1em 0.35em; overflow-wrap: anywhere; }
details { border: 1px solid var(--edge); border-radius: 8px; padding: 0.6rem 0.9rem; margin: 0.8rem 0; }
summary { cursor: pointer; font-weight: 600; font-size: 0.95rem; }
details[open] > summary { margin-bottom: 0.7rem; }
.tracks, .legend, .todo { list-style: none; margin: 0; padding: 0; }
.tracks li { margin-bottom: 0.9rem; }
.tracks li > div { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1.2rem; }
.tracks .what { font-weight: 600; overflow-wrap: anywhere; }
.tracks .note { flex-basis: 100%; }
.tracks svg { display: block; overflow: visible; margin: 0.25rem 0; }
.tracks, .ends { padding: 0 7px; }
.value { font-variant-numeric: tabular-nums; }
.ends { display: flex; justify-content: space-between; margin: -0.5rem 0 1rem; color: var(--soft);
  font-size: 0.8rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1.3rem; margin: 0.4rem 0 0.6rem; font-size: 0.875rem; }
.legend li { display: flex; align-items: center; gap: 0.5rem; min-width: 0; overflow-wrap: anywhere; }
.legend svg { flex: none; }
.todo li { margin-bottom: 0.8rem; }
.todo code { display: block; width: fit-content; max-width: 100%; margin-top: 0.2rem; }
.episodes { display: flex; flex-wrap: wrap; gap: 4px; margin: 0 0 0.5rem; padding: 0; list-style: none; }
.episodes li { width: 1.5rem; height: 1.5rem; border-radius: 5px; font-size: 0.85rem; line-height: 1.4rem;
  text-align: center;
  border: 1.5px solid var(--s2); color: var(--card); background: var(--s2); }
.episodes .failed { border: 1.5px dashed var(--s1); color: var(--s1); background: none; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
svg text { font-size: 13px; fill: var(--soft); }
svg .name { fill: var(--ink); }
@media (max-width: 36rem) { .chart text { font-size: 17px; } .wide img { width: 44rem; max-width: none; }
  caption { max-width: calc(100vw - 5rem); } }
svg .grid { stroke: var(--edge); stroke-width: 1; }
COLOURS
svg .axis, svg .rail { stroke: var(--soft); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
svg .reach { stroke-width: 7; stroke-opacity: 0.45; stroke-linecap: round; }
svg .band { stroke: none; fill-opacity: 0.16; }
svg .dot { stroke: var(--card); stroke-width: 1.5; }
svg .dp3 { stroke: var(--ink); stroke-width: 2.5; }
svg .image-dp { stroke: var(--ink); stroke-width: 7; stroke-linecap: round; }
svg .d1 { stroke-dasharray: 8 5; } svg .d2 { stroke-dasharray: 2 5; } svg .d3 { stroke-dasharray: 10 4 2 4; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: 0.875rem; }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
@media (forced-colors: active) { svg .dot, svg .band { forced-color-adjust: none; } }
@media print {
  :root {
    color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #333; --edge: #bbb; --accent: #000;
  --tint: #f2f2f2;
    --s0: #0a5bb0; --s1: #b84300; --s2: #00735a; --s3: #9c2f7c; --s4: #7a5a00; --s5: #0b7285; --s6: #5b45b5;
  --s7: #5c6670;
  }
  html { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  header, main, footer { max-width: none; padding: 0; }
  nav, .skip, video { display: none; }
  section { border: none; padding: 0; }
  h2, h3, summary { break-after: avoid; }
  figure, tr, .tracks li { break-inside: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  .figures td, .figures thead th { white-space: normal; }
  th, td { padding: 0.25rem 0.5rem 0.25rem 0; }
  tbody th { min-width: 5rem; }
  details::details-content { content-visibility: visible; height: auto; display: block; }
}
"""
"""CSS; COLOURS stands for the lines of the colours."""

COLOUR_LINES = "\n".join(
    f"svg .s{place} {{ stroke: var(--s{place}); }} svg .dot.s{place}, svg .band.s{place} {{ fill: var(--s{place}); }}"
    for place in range(8)
)
"""A stroke and a fill for each colour."""


def style_sheet() -> str:
    """The CSS of a page."""
    return STYLE.replace("COLOURS", COLOUR_LINES).strip()
