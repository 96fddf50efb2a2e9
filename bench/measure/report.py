# SPDX-License-Identifier: Apache-2.0
"""What an area has found: text for people, JSON for programs, a plot, and a table in the README."""
import json
import os

from measure import machine, plot
from measure.compare import METRICS, Ratio, median, meets

UNITS = {"iops": "/s", "bytes_per_second": "MB/s", "latency_us": "us", "p99_us": "us",
         "cpu_us": "us CPU", "ns": "ns", "ms": "ms", "bytes": "bytes",
         "cpu_percent": "% of a core"}
OURS = "atoll"


def shown(value, metric):
    """With as many digits as mean something."""
    if metric == "bytes_per_second":
        value /= 1e6
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {UNITS[metric]}".strip()


def sign(metric):
    return ">=" if METRICS[metric] else "<="


class Report:
    """Rows are (what was done, by whose side, what was measured), each with its ratios."""

    def __init__(self, area, command, folder):
        self.area, self.command = area, command
        self.facts = machine.facts(folder)
        self.rows = []

    def add(self, work, samples, metric="iops", goals=None, ours=OURS, limit=None, ceilings=(),
            beside=None):
        """samples: contender -> samples; goals: contender -> the ratio that is wanted; limit: what
        is wanted of our own median, whoever else is there; ceilings: contenders that show what the
        machine allows; beside: contender -> our samples of the same rounds, if not all are."""
        goals, beside = goals or {}, beside or {}
        row = {"work": work, "metric": metric, "ours": ours, "contenders": {}}
        for name, list_ in samples.items():
            entry = {"median": {key: median(list_, key) for key in list_[0]
                                if key in METRICS}, "samples": list_}
            if name != ours:
                ratio = Ratio(beside.get(name, samples[ours]), list_, metric)
                entry["ratio"] = {"median": ratio.median, "lowest": ratio.lowest,
                                  "highest": ratio.highest}
                if name in goals:
                    entry["goal"] = goals[name]
                    entry["met"] = ratio.meets(goals[name])
                entry["is_ceiling"] = name in ceilings
                if name in beside:
                    entry["beside"] = beside[name]
            elif limit is not None:
                entry["limit"] = limit
                entry["met"] = meets(entry["median"][metric], limit, metric)
            row["contenders"][name] = entry
        self.rows.append(row)
        print(self.text_of(row), flush=True)

    @staticmethod
    def text_of(row):
        metric, ours = row["metric"], row["contenders"][row["ours"]]
        own = ours["median"]
        extra = f", {shown(own['cpu_us'], 'cpu_us')}" if "cpu_us" in own and metric != "cpu_us" \
            else ""
        lines = [f"\n{row['work']}: {row['ours']} {shown(own[metric], metric)}{extra}"]
        if "limit" in ours:
            lines[0] += (f"   goal {sign(metric)} {shown(ours['limit'], metric)}: "
                         f"{'met' if ours['met'] else 'MISSED'}")
        for name, entry in row["contenders"].items():
            if name == row["ours"]:
                continue
            ratio = entry["ratio"]
            line = (f"  {name:<28} {shown(entry['median'][metric], metric):>14}   ours/theirs "
                    f"{ratio['median']:.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})")
            if "cpu_us" in entry["median"] and metric != "cpu_us":
                line += f"   {shown(entry['median']['cpu_us'], 'cpu_us')}"
            if "goal" in entry:
                line += (f"   goal {sign(metric)} {entry['goal']}: "
                         f"{'met' if entry['met'] else 'MISSED'}")
            lines.append(line)
        return "\n".join(lines)

    def write(self, folder, only_some):
        """only_some: what was measured before and not now stays, each row with its command."""
        os.makedirs(folder, exist_ok=True)
        base = os.path.join(folder, self.area)
        rows = [{**row, "command": self.command} for row in self.rows]
        if only_some:
            new = {(row["work"], row["metric"]) for row in rows}
            rows = [row for row in _rows_in(base + ".json")
                    if (row["work"], row["metric"]) not in new] + rows
        whole = {"area": self.area, "machine": self.facts, "rows": rows}
        with open(base + ".json", "w", encoding="utf-8") as file:
            json.dump(whole, file, indent=1)
            file.write("\n")
        with open(base + ".svg", "w", encoding="utf-8") as file:
            file.write(plot.draw(self.area, rows))
        return base


def _rows_in(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return json.load(file)["rows"]


def summary(folder):
    """A Markdown table of all that has a goal, and of the ceilings beside them, from the results that
    lie in `folder`."""
    lines = ["| work | measured | against | ours/theirs (lowest to highest) | goal |",
             "|---|---|---|---|---|"]
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".json"):
            continue
        for row in _rows_in(os.path.join(folder, name)):
            lines += _summary_of(f"{name.removesuffix('.json')}: {row['work']}", row)
    return "\n".join(lines) + "\n"


def _summary_of(work, row):
    """A line for each goal of a row, and for each ceiling."""
    metric = row["metric"]
    own = shown(row["contenders"][row["ours"]]["median"][metric], metric)
    for contender, entry in row["contenders"].items():
        if "met" not in entry and not entry.get("is_ceiling"):
            continue
        against, ratio, wanted = contender, "", "ceiling"
        if "limit" in entry:
            against, wanted = "", f"{sign(metric)} {shown(entry['limit'], metric)}"
        else:
            ratio = "{median:.2f} ({lowest:.2f} to {highest:.2f})".format(**entry["ratio"])
        if "goal" in entry:
            wanted = f"{sign(metric)} {entry['goal']}"
        missed = "" if entry.get("met", True) else ", missed"
        yield f"| {work} | {own} | {against} | {ratio} | {wanted}{missed} |"
