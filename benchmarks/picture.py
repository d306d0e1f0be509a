"""Results as bars: an SVG of its own making, readable on light and dark pages."""

from html import escape

import cases
import commands
from table import fastest_first

WIDTH, LABEL, ROW, GAP, TOP = 860, 210, 20, 34, 44

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 }
  .small { font-size: 11px; fill: #57606a }
  .ours { fill: #0b6bcb } .other { fill: #8c959f } .limit { fill: #c9a227 }
  .spread { stroke: #24292f; stroke-width: 1.2 }
  .bold { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9da7b1 } .ours { fill: #4aa3ff } .other { fill: #6e7681 }
    .spread { stroke: #e6edf3 }
  }
"""


def draw(results):
    """One group of bars for each case, and for each setting of whole orders; the best way first."""
    parts, y = [], TOP
    for case in results["cases"].values():
        if case["ways"]:
            group, y = _group(case["title"], *(_memory(case) if case.get("is_memory") else _rates(case)), y)
            parts += group
    lines = [line for line in results["scripts"].get("makespan.py", {}).get("lines", []) if "way" in line]
    for setting in dict.fromkeys(line["setting"] for line in lines):
        bars = _orders([line for line in lines if line["setting"] == setting])
        group, y = _group(f"A whole order with tape: {setting}", bars, "times the lower bound; shorter is better", y)
        parts += group
    note = results.get("note") or f"{results['machine']['date']}, {results['machine']['processors']} processors"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", _text("small", 8, 18, escape(note)), *parts, "</svg>\n"])


def _text(kind, x, y, words, more=""):
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{more}>{words}</text>'


def _group(title, bars, unit, y):
    """Bars from a height on, and the height where they end."""
    scale = (WIDTH - LABEL - 90) / max(1, *(high for *_, high in bars))
    lines = [_text("title", 8, y, escape(title)), _text("small", 8, y + 15, unit)]
    y += 22
    for bar in bars:
        lines += _bar(bar, scale, y)
        y += ROW
    return lines, y + GAP


def _rates(case):
    """Name, median, smallest and largest of each way, the best first; and what they are."""
    bars = [(name, found["MB_s"], found["MB_s_min"], found["MB_s_max"]) for name, found in fastest_first(case["ways"])]
    return bars, "MB/s, median with smallest and largest; longer is better"


def _memory(case):
    bars = [(name, *[found["peak_MB"]] * 3) for name, found in case["ways"].items()]
    return sorted(bars, key=lambda bar: bar[1]), "MB of memory at the most; shorter is better"


def _orders(lines):
    """Each way of `makespan.py`."""
    bars = [
        (line["way"], line["of_bound"], *(line[f"seconds_{end}"] / line["bound"] for end in ("min", "max")))
        for line in lines
    ]
    return sorted(bars, key=lambda bar: bar[1])


def _bar(bar, scale, y):
    name, value, low, high = bar
    kind = "ours" if name.startswith("pepsasync") else "limit" if name in commands.LIMITS else "other"
    weight = "bold" if name in cases.OURS else ""
    low, high = LABEL + low * scale, LABEL + high * scale
    centre, width = y + ROW / 2, max(1, value * scale)
    return [
        _text(weight, LABEL - 8, centre + 4, escape(name), ' text-anchor="end"'),
        f'<rect class="{kind}" x="{LABEL}" y="{y + 3:g}" width="{width:.1f}" height="{ROW - 6}" rx="2"/>',
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{centre:g}" y2="{centre:g}"/>',
        _text("small", round(high + 6), centre + 4, f"{value:,}"),
    ]
