"""How a model's page looks: one style sheet, by day and by night, on paper too."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fff; --ink: #1c1f23; --muted: #5f6670; --line: #d9dce0; --accent: #0072b2;
  --soft: #f4f6f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #16181b; --ink: #e8eaed; --muted: #a2a9b3; --line: #363b42; --accent: #6cb8ea;
    --soft: #1f2226;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 70rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
.kind { margin: 0; color: var(--muted); font-size: .875rem; }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 {
  margin: 2.75rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: 1.15rem;
}
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0; padding: 0; list-style: none; }
.tiles li {
  flex: 1 1 9rem; padding: .6rem .85rem; border-radius: .5rem; background: var(--soft);
}
.tiles strong { display: block; font-size: 1.3rem; font-weight: 600; }
.tiles span { color: var(--muted); font-size: .875rem; overflow-wrap: anywhere; }
.note { max-width: 46rem; margin: .25rem 0 .75rem; color: var(--muted); }
.missing { padding: .75rem 1rem; border: 1px dashed var(--line); color: var(--muted); }
figure {
  margin: .75rem 0 1.25rem; padding: .75rem; overflow-x: auto;
  background: #fff; border: 1px solid var(--line); border-radius: .5rem;
}
img { display: block; max-width: max(100%, 40rem); height: auto; margin: 0 auto; }
details { margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; }
.scroll { overflow-x: auto; }
table { margin-top: .4rem; border-collapse: collapse; font-size: .9375rem; }
th, td {
  padding: .3rem 1.5rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  overflow-wrap: break-word; font-variant-numeric: tabular-nums;
}
td { max-width: 24rem; }
th { color: var(--muted); font-weight: 500; white-space: nowrap; }
.right { text-align: right; white-space: nowrap; }
meter { width: 8rem; vertical-align: middle; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; margin: 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
@media print { body { max-width: none; padding: 0; } section { break-inside: avoid; } }
"""
