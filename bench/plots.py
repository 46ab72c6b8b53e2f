# SPDX-License-Identifier: Apache-2.0
"""Draws the figures of a run: one picture a case, a bar for each row's median ratio, its least and greatest, and what was asked for."""

import re
import sys
from statistics import median

from cases import TIME

OURS, THEIRS = "#1f6f8b", "#b0b7bd"


def wanted(row):
    """What a bar asks of the row's own ratio, where one does."""
    return next((bar.goal for bar in row.bars if bar.of_ratio), None)


def picture(pyplot, report, case, path):
    rows = [(row, report.ratios(row)) for row in case.rows]
    rows = [(row, ratios) for row, ratios in rows if ratios]
    if not rows:
        return False
    figure, axes = pyplot.subplots(figsize=(9, 0.8 + 0.38 * len(rows)))
    for place, (row, ratios) in enumerate(rows):
        middle = median(ratios)
        axes.barh(place, middle, color=THEIRS if row.peer else OURS, xerr=[[middle - min(ratios)], [max(ratios) - middle]], ecolor="black")
        if (bar := wanted(row)) is not None:
            axes.plot([bar, bar], [place - 0.45, place + 0.45], color="crimson", linewidth=2)
    axes.set_yticks(range(len(rows)), [re.sub(r"[*`]", "", row.text) for row, _ in rows])
    axes.invert_yaxis()
    times = all(row.ratio == TIME for row, _ in rows)
    axes.set_xlabel("times as long (less is better)" if times else "of the speed of what it is compared with (more is better); red: the bar")
    if times:
        axes.set_xscale("log")
    axes.set_title(case.text, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def draw(report, directory):
    """One PNG for each case that has figures; none where matplotlib is not here."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as missing:
        print(f"no plots: {missing}", file=sys.stderr)
        return
    directory.mkdir(parents=True, exist_ok=True)
    for case in report.cases:
        picture(pyplot, report, case, directory / f"{case.name}.png")
