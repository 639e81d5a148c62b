# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""How the page looks: no font, script or picture from elsewhere."""

CSS = '''
:root {
  color-scheme: light dark;
  --back: #f6f7f9; --card: #ffffff; --text: #1c2430; --faint: #5b6675;
  --line: #dde2e9; --accent: #00657a; --soft: #eef2f6; --curve: #0072b2;
  --warn: #8a2433; --warn-back: #fdf0f1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12161c; --card: #1a2029; --text: #e4e9f0; --faint: #9aa6b6;
    --line: #2f3845; --accent: #5cc4d8; --soft: #222a35;
    --curve: #56b4e9;
    --warn: #ffb3bd; --warn-back: #3a1f25;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 5rem; }
body {
  margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem;
  overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0; display: inline; }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
code, pre { font: .85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas,
  monospace; }
code { overflow-wrap: anywhere; }
pre { margin: 0; padding: .6rem .8rem; white-space: pre; }
pre code { overflow-wrap: normal; font-size: 1em; }
nav ul { display: flex; flex-wrap: wrap; gap: .4rem; list-style: none;
  margin: 1rem 0; padding: 0; }
nav a { display: block; padding: .3rem .75rem; border-radius: 1rem;
  border: 1px solid var(--line); background: var(--card);
  text-decoration: none; font-size: .9rem; }
nav a.absent { color: var(--faint); border-style: dashed; }
.lead, .source, figcaption, footer { color: var(--faint); font-size: .85rem; }
.facts { display: grid; gap: .6rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.fact { background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; padding: .55rem .8rem; }
.fact b { display: block; font-size: 1.1rem; line-height: 1.3;
  font-weight: 600; overflow-wrap: anywhere; }
.fact span { font-size: .8rem; color: var(--faint); }
.section { background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; margin: 0 0 1rem; }
.section.absent { border-style: dashed; }
summary { cursor: pointer; padding: .7rem 1rem; }
summary::marker { color: var(--faint); }
.body { padding: 0 1rem 1rem; }
.body .absent { color: var(--faint); margin-top: 0; }
.warning { background: var(--warn-back); color: var(--warn);
  border-left: 4px solid; border-radius: .3rem; padding: .5rem .8rem; }
.scroll { overflow-x: auto; max-width: 100%; border: 1px solid var(--line);
  border-radius: .4rem; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
th { background: var(--soft); font-weight: 600; }
.num { text-align: right; }
dl { margin: .6rem 0; font-size: .9rem; }
dl div { display: grid; grid-template-columns: 10rem 1fr; gap: .1rem 1rem;
  padding: .35rem 0; border-bottom: 1px solid var(--line); }
dl div:last-child { border-bottom: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: .8rem 0; min-width: 0; }
figcaption { margin-top: .3rem; overflow-wrap: anywhere; }
.curves { display: grid; gap: .4rem 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
.curves figure { margin: .4rem 0; }
svg, img { display: block; max-width: 100%; height: auto; }
svg text { font-family: inherit; fill: currentColor; }
img { background: #fff; border-radius: .4rem; }
.wide img { max-width: none; width: auto; margin: 0 auto; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none;
  margin: .6rem 0; padding: 0; font-size: .9rem; }
.key svg { display: inline-block; margin-right: .35rem;
  vertical-align: -.1em; }
footer { padding-top: .5rem; padding-bottom: 2rem; }
@media (max-width: 34rem) {
  .body { padding: 0 .75rem .75rem; }
  dl div { grid-template-columns: 1fr; }
  .wide img { height: 30rem; }
}
@media print {
  :root { --back: #fff; --card: #fff; --text: #000; --faint: #444;
    --line: #bbb; --accent: #000; --soft: #eee; --curve: #0072b2;
    color-scheme: light; }
  nav, .absent { display: none; }
  .section { border: 0; }
  .section::details-content { content-visibility: visible; }
  figure, tr, .fact { break-inside: avoid; }
  .scroll { overflow: visible; border: 0; }
  .wide img { max-width: 100%; width: auto; height: auto; }
  pre { white-space: pre-wrap; }
}
'''
