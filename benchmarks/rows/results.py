"""The results file of one kind of machine: what was measured, beside the last time, as a page.

Figures of two kinds of machine never share a file. What is compared with the last time: the ratio
to a rival of the same run, which a busy machine slows alike; without a rival the figure itself,
unless others used the processors.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from rows.turns import ROOT, Row

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "speed.md"
WORSE = 0.1  # the share from which a row is named
QUIET = 0.1  # the processors' share up to which others may use them where figures are compared
INTRODUCTION = """\
# Speed: {kind}

Written by `make bench` on a machine of this kind; other kinds: speed-*.md beside this file.
Medians; ours and its rival in turns. Others: the share of the processors that other programs took.
"""


def instruction_set() -> str:
    """What torch may use, as it was told: bf16, avx512, avx2, or another processor's name."""
    able = torch.backends.cpu.get_cpu_capability().lower()
    units = _units()
    if able == "avx512" and (units.get("avx512_bf16") or units.get("amx_bf16")):
        return "bf16"
    return able if able.startswith("avx") else f"{platform.machine()}-{able}".lower()


def _units() -> dict[str, Any]:
    """What the processor has, whatever is used of it."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def kind_of_machine(device: str) -> str:
    units = "cuda" if device != "cpu" and torch.cuda.is_available() else instruction_set()
    return f"{units}-{os.cpu_count()}-cores"


def machine() -> dict[str, Any]:
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "held": bool(instruction_set() == "avx2" and _units().get("avx512_f")),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
    }


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [part.split(":")[1].strip() for part in text.splitlines() if "model name" in part]
    return names[0] if names else platform.processor()


def measured(rows: Sequence[Row], settings: Mapping[str, Any], others: float) -> dict[str, Any]:
    """An area of the results file."""
    from action_gru import __version__

    return {
        "date": datetime.date.today().isoformat(),
        "version": __version__,
        "machine": machine(),
        "settings": dict(settings),
        "others": round(others, 2),
        "rows": [asdict(row) for row in rows],
    }


class Results:
    """The areas of one kind of machine, each as it was measured last."""

    def __init__(self, kind: str, folder: Path = RESULTS) -> None:
        self.kind, self.path = kind, folder / f"speed-{kind}.json"
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else '{"areas": {}}'
        self.areas: dict[str, Any] = json.loads(text)["areas"]

    def add(self, name: str, area: dict[str, Any]) -> None:
        """Keep an area, with what of it got worse since the last time and what can't be told."""
        before = self.areas.get(name)
        area["since"] = before["date"] if before else None
        area["worse"], area["not compared"] = compare(before, area) if before else ([], [])
        self.areas[name] = area

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"areas": self.areas}, indent=1) + "\n", encoding="utf-8")
        self.path.with_suffix(".md").write_text(markdown(self.kind, self.areas), encoding="utf-8")
        if self.path.parent == RESULTS:
            self._show()

    def _show(self) -> None:
        name = self.path.with_suffix(".md").name
        link = f"Every row and its circumstances: [{name}](../benchmarks/results/{name})."
        table = "\n".join(goals(self.kind, self.areas))
        into_page(f"make bench: {self.kind}", f"{link}\n\n{table}")


def into_page(mark: str, text: str) -> None:
    """Put a text into the page How fast, where it has a place of that name."""
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(f"<!-- {mark} -->\n")
    if begin:
        after = rest.partition("<!-- end -->")[2]
        PAGE.write_text(f"{before}{begin}\n{text}\n<!-- end -->{after}", encoding="utf-8")


def compare(before: dict[str, Any], now: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Sentences: the rows that got worse by more than WORSE, and those that can't be compared."""
    if before["settings"] != now["settings"]:
        changed = f"{tell(before['settings'])} then, {tell(now['settings'])} now"
        return [], [f"all rows: measured otherwise, {changed}"]
    worse, left_out = [], []
    last = {row["name"]: row for row in before["rows"]}
    shares = [before["others"], now["others"]]
    others = 1.0 if None in shares else max(shares)
    for row in now["rows"]:
        then = last.get(row["name"])
        if then is None:
            left_out.append(f"{row['name']}: not measured the last time")
        elif row["ratio"] is not None and then["ratio"] is not None:
            change = row["ratio"] / then["ratio"] - 1
            if change < -WORSE:
                told = f"{then['ratio']:.2f} then, {row['ratio']:.2f} now times {row['against']}"
                busy = "; others used the processors, then or now" if others > QUIET else ""
                worse.append(f"{row['name']}: {told} ({change:+.0%}{busy})")
        elif others > QUIET:
            left_out.append(f"{row['name']}: others used the processors, then or now")
        else:
            old, new = (next(iter(one["values"].values())) for one in (then, row))
            if new > old / (1 - WORSE):
                told = f"{figure(old)} then, {figure(new)} {row['unit']} now"
                worse.append(f"{row['name']}: {told} ({new / old - 1:+.0%})")
    return worse, left_out


def goal_of(row: Mapping[str, Any], kind: str) -> float | None:
    goal = row["goal"]
    if goal is None or not kind.startswith(("avx", "bf16")):
        return None
    return float(goal["bf16" if kind.startswith("bf16") else "avx2"])


def is_met(row: Mapping[str, Any], kind: str) -> bool | None:
    """None where there is no goal for this kind of machine."""
    wanted = goal_of(row, kind)
    if wanted is None:
        return None
    if row["goal"]["at_most"]:
        return bool(next(iter(row["values"].values())) <= wanted)
    return bool(row["ratio"] >= wanted)


def line(row: Mapping[str, Any], kind: str) -> str:
    """A row as it is printed."""
    ratio = "" if row["ratio"] is None else f"; {row['ratio']:.2f} times {row['against']}"
    wanted = goal_of(row, kind)
    met = "met" if is_met(row, kind) else "not met"
    told = "" if wanted is None else f" (goal {bound(row, wanted)}: {met})"
    return f"{row['name']}: {values_of(row)}{ratio}{told}"


def markdown(kind: str, areas: Mapping[str, Any]) -> str:
    lines = [INTRODUCTION.format(kind=kind), *goals(kind, areas), *changes(areas)]
    for name, area in areas.items():
        told = area["machine"]
        parts = [
            f"{told['processor']}, {told['cores']} cores"
            + (f", {told['gpu']}" * bool(told["gpu"])),
            f"torch {told['torch']}",
            *([tell(area["settings"])] if area["settings"] else []),
            f"version {area['version']}, {area['date']}",
            "others not known" if area["others"] is None else f"others {area['others']:.0%}",
        ]
        lines += [
            f"## {name.capitalize()}",
            "",
            "; ".join(parts) + ".",
            "",
            "| what | measured | ratio (of each round) |",
            "|---|---|---:|",
        ]
        for row in area["rows"]:
            notes = f" ({row['notes']})" if row["notes"] else ""
            lines.append(f"| {row['name']} | {values_of(row)}{notes} | {ratio_of(row)} |")
        lines.append("")
    return "\n".join(lines)


def goals(kind: str, areas: Mapping[str, Any]) -> list[str]:
    """The table of all rows with a goal."""
    lines = [
        "| what | measured | goal: AVX2 alone | with bf16 units | met here |",
        "|---|---:|---:|---:|---|",
    ]
    for row in (row for area in areas.values() for row in area["rows"] if row["goal"]):
        shown, unit = f"{row['ratio'] or 0:.2f}", "times"
        if row["goal"]["at_most"]:
            name, value = next(iter(row["values"].items()))
            shown, unit = figure(value), row["unit"] or name
        both = " | ".join(bound(row, row["goal"][name]) for name in ("avx2", "bf16"))
        met = {True: "yes", False: "**no**", None: ""}[is_met(row, kind)]
        lines.append(f"| {row['name']} | {shown} {unit} | {both} | {met} |")
    return [*lines, ""]


def changes(areas: Mapping[str, Any]) -> list[str]:
    lines = ["## Against the last result", ""]
    for name, area in areas.items():
        if area["since"] is None:
            lines.append(f"- {name}: the first result")
            continue
        lines += [f"- {name}, **worse** since {area['since']}: {told}" for told in area["worse"]]
        lines += [f"- {name}, not compared: {told}" for told in area["not compared"]]
        if not area["worse"] and not area["not compared"]:
            lines.append(f"- {name}: no row worse by more than {WORSE:.0%} since {area['since']}")
    return [*lines, ""]


def bound(row: Mapping[str, Any], wanted: float) -> str:
    return f"{'<=' if row['goal']['at_most'] else '>='} {wanted:.3g}"


def ratio_of(row: Mapping[str, Any]) -> str:
    if row["ratio"] is None:
        return ""
    low, high = row["spread"] or (row["ratio"], row["ratio"])
    return f"{row['ratio']:.2f}" + (f" ({low:.2f} to {high:.2f})" if low < high else "")


def values_of(row: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name}: {figure(value)}" for name, value in row["values"].items())
    return f"{told} {row['unit']}".rstrip()


def figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def tell(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "without settings"
