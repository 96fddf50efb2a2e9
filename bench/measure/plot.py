# SPDX-License-Identifier: Apache-2.0
"""Results as an SVG picture: a bar a contender, grouped by what was done, with the spread."""
from xml.sax.saxutils import escape

from measure.compare import METRICS

WIDTH, LEFT, BAR, GAP, HEAD = 900, 240, 14, 30, 40
COLOURS = {True: "#1f6f8b", False: "#b8b8b8"}


def draw(title, rows):
    parts, y = [], HEAD
    for row in rows:
        bars, y = _group(row, y)
        parts += bars
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" '
            f'font-family="sans-serif" font-size="11">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n'
            f'<text x="10" y="22" font-size="15">{escape(title)}: medians; the line is the spread of'
            f' single rounds</text>\n' + "\n".join(parts) + "\n</svg>\n")


def _group(row, y):
    metric = row["metric"]
    values = {name: [sample[metric] for sample in entry["samples"]]
              for name, entry in row["contenders"].items()}
    longest = max(max(list_) for list_ in values.values()) or 1
    scale = (WIDTH - LEFT - 110) / longest
    better = "more is better" if METRICS[metric] else "less is better"
    if "limit" in row["contenders"][row["ours"]]:
        better += f", goal {row['contenders'][row['ours']]['limit']:,}"
    out = [f'<text x="10" y="{y + 11}" font-weight="bold">{escape(row["work"])} '
           f'({metric}, {better})</text>']
    y += BAR + 4
    for name, entry in row["contenders"].items():
        middle = entry["median"][metric]
        own = values[name]
        out.append(f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(name)}</text>')
        out.append(f'<rect x="{LEFT}" y="{y}" width="{middle * scale:.1f}" height="{BAR - 3}" '
                   f'fill="{COLOURS[name == row["ours"]]}"/>')
        out.append(f'<line x1="{LEFT + min(own) * scale:.1f}" x2="{LEFT + max(own) * scale:.1f}" '
                   f'y1="{y + 5.5}" y2="{y + 5.5}" stroke="black"/>')
        out.append(f'<text x="{LEFT + max(own) * scale + 6:.1f}" y="{y + 11}">{middle:,.4g}</text>')
        y += BAR
    return out, y + GAP - BAR
