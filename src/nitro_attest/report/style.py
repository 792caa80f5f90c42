"""The style sheet of a report, and the policy that allows nothing but it."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final, Literal

_SHEET: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f3f4f6;
  --line: #8b949e; --link: #0b57d0; --good: #0a5c2b; --bad: #a40e26; --warn: #7a4b00;
  --h0: #dbe9ff; --h1: #e2f3dc; --h2: #fdeccd; --h3: #f4e1f7; --h4: #d9f2f1; --h5: #fbe0dd; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #15181c; --soft: #22272e; --line: #7d8590; --link: #8ab4f8;
    --good: #7ee2a0; --bad: #ff9a94; --warn: #f3c766;
    --h0: #17345c; --h1: #1e3d1b; --h2: #4a3608; --h3: #432049; --h4: #0f3f3e; --h5: #501f1b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
a { color: var(--link); }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; }
header { padding-top: 1.5rem; }
.verdict { border: 2px solid; border-left-width: .75rem; border-radius: .4rem; padding: 1rem; }
.verdict p { margin: .4rem 0 0; overflow-wrap: anywhere; }
.verified .verdict { border-color: var(--good); }
.partly .verdict { border-color: var(--warn); }
.rejected .verdict { border-color: var(--bad); border-style: double; border-width: 6px; }
.warning-text { border-left: .4rem solid var(--warn); background: var(--soft);
  padding: .5rem .75rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.scroll:focus-visible, a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; overflow-wrap: normal; }
code, .hex { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85em; }
code { overflow-wrap: anywhere; }
.passed { color: var(--good); }
.failed { color: var(--bad); font-weight: 700; }
.warning { color: var(--warn); font-weight: 600; }
.status, .rule { white-space: nowrap; }
svg { display: block; width: 100%; min-width: 40rem; max-width: 64rem; height: auto; }
svg text { fill: var(--ink); font-size: 12px; paint-order: stroke; stroke: var(--paper);
  stroke-width: 3px; }
svg .scale { font-size: 10px; }
svg .role { font-weight: 600; }
svg .tick { stroke: var(--line); stroke-width: .5; stroke-dasharray: 2 3; }
svg .window { fill: var(--h0); stroke: var(--link); }
svg .outside { fill: var(--h5); stroke: var(--bad); stroke-dasharray: 4 2; }
svg .moment { stroke: var(--ink); stroke-width: 1.5; }
svg .verified { stroke-dasharray: 5 3; }
.hex { width: auto; line-height: 1.35; }
.hex th, .hex td { border: 0; padding: 0 .75rem 0 0; white-space: pre; font-weight: 400; }
.hex tr:target th { outline: 3px solid var(--link); font-weight: 700; }
.hex span.head { font-style: italic; text-decoration: underline dotted; }
.h0 { background: var(--h0); } .h1 { background: var(--h1); } .h2 { background: var(--h2); }
.h3 { background: var(--h3); } .h4 { background: var(--h4); } .h5 { background: var(--h5); }
mark { background: var(--bad); color: var(--paper); font-weight: 700; }
footer { margin: 2rem auto; font-size: .9rem; border-top: 1px solid var(--line); }
.watermark { display: none; }
@media (max-width: 40rem) {
  .stack, .stack tbody, .stack tr, .stack th, .stack td { display: block; width: 100%; }
  .stack caption { display: block; }
  .stack thead, .stack td:empty { display: none; }
  .stack th, .stack td { border: 0; padding: .1rem 0; }
  .stack tr { border-bottom: 1px solid var(--line); padding: .4rem 0; }
  .stack td[data-label]::before { content: attr(data-label) ": "; font-weight: 600; } }
@media print {
  :root { color-scheme: light; }
  body { font-size: 11px; }
  .scroll { overflow: visible; }
  svg { min-width: 0; }
  tr, svg, .verdict { break-inside: avoid; }
  h2 { break-after: avoid; }
  .hex { font-size: 9px; }
  .rejected .watermark { display: block; position: fixed; top: 40%; left: 0; width: 100%;
    text-align: center; font-size: 90px; font-weight: 800; transform: rotate(-30deg);
    color: #a40e26; opacity: .16; } }
@page { margin: 20mm 14mm;
  @top-center { content: "BANNER"; font: 700 11px system-ui, sans-serif; }
  @bottom-center { content: counter(page) " / " counter(pages); font: 10px sans-serif; } }
"""

_BANNERS: Final = {
    "verified": "VERIFIED: nitro-attest report",
    "partly": "AUTHENTIC, but not everything was checked: nitro-attest report",
    "rejected": "REJECTED: this document was not verified",
}

Tone = Literal["verified", "partly", "rejected"]
"""The appearance of a report, which repeats what its text says."""


def style_sheet(tone: Tone) -> str:
    """Returns the style sheet, with the line that is printed on top of each page."""
    return _SHEET.replace("BANNER", _BANNERS[tone])


def content_security_policy(sheet: str) -> str:
    """Returns the policy that allows this style sheet, and nothing else."""
    digest = b64encode(sha256(sheet.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
