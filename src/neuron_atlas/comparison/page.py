"""Runs side by side as one HTML page."""

from collections import Counter
from typing import Any

from neuron_atlas.comparison import changes
from neuron_atlas.comparison.side_by_side import ClaimRow, Comparison, SetsRow
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pages import charts, intervals, shell
from neuron_atlas.pages.specs import Axis, Hover
from neuron_atlas.report.claims import CLAIMS, Claim

TEMPLATE = "compare.html.j2"
TITLE = "Neuron Atlas: runs side by side"
SEEN = 0.05  # standard errors between two effects that are seen to be apart
LONGEST = 24  # characters of a run's name beside a chart
COLUMNS = {"run": "Run", "verdict": "Verdict", "effect": "Effect", "low": "From", "high": "To"}


def render(comparison: Comparison) -> str:
    """Return the page: one file that loads nothing. The same comparison gives the same text."""
    claims = [_claim(comparison, row) for row in comparison.claims]
    drawn = {one["anchor"]: _chart(one) for one in claims if _differs(one)}
    return shell.filled(
        TEMPLATE,
        scripts=[*(charts.scripts() if drawn else ()), shell.script("index.js")],
        title=TITLE,
        comparison=comparison,
        claims=claims,
        charts=drawn,
        own=[place for place, run in enumerate(comparison.runs) if run.own],
        rule=changes.RULE,
        sets=[_sets(row) for row in comparison.sets],
    )


def _claim(comparison: Comparison, row: ClaimRow) -> dict[str, Any]:
    """Return what the page says of a claim."""
    about = CLAIMS.get(row.claim, Claim(row.claim, ""))
    cells = []
    for place, (run, finding) in enumerate(zip(comparison.runs, row.findings, strict=True)):
        shown: dict[str, Any] = {"run": run.choice.name, "finding": finding}
        shown |= {"change": row.changes[place], "new": row.new_words[place]}
        change = row.changes[place]
        told = changes.told(change.difference) if change else ""
        cells.append(shown | {"same": row.same[place], "told": told})
    anchor = f"claim-{comparison.claims.index(row)}"
    words = {"name": about.name, "meaning": about.meaning, "unit": about.unit}
    return {**words, "anchor": anchor, "cells": cells}


def _differs(claim: dict[str, Any]) -> bool:
    """Say whether a chart would show a difference between two runs."""
    changes_of = [cell["change"] for cell in claim["cells"] if cell["change"]]
    return any(one.z is None or abs(one.z) > SEEN for one in changes_of if one.size != "identical")


def _chart(claim: dict[str, Any]) -> charts.Chart:
    """Return a claim's effect in each run that measured it, with its interval."""
    measured = [cell for cell in claim["cells"] if cell["finding"] and cell["finding"].effect]
    labels = _labels([cell["run"] for cell in measured])
    rows = [
        {
            "label": label,
            "series": "",
            "run": cell["run"],
            "verdict": cell["finding"].verdict,
            "effect": cell["finding"].effect.mean,
            "low": cell["finding"].effect.low,
            "high": cell["finding"].effect.high,
        }
        for label, cell in zip(labels, measured, strict=True)
    ]
    hover = Hover({"run": "Run", "verdict": "Verdict"}, {n: COLUMNS[n] for n in list(COLUMNS)[2:]})
    drawn = intervals.estimates(rows, Axis("effect", claim["unit"]), hover)
    alt = f"{claim['name']}: effect and 95 % interval in each run"
    return charts.Chart(drawn, alt, COLUMNS, rows)


def _labels(names: list[str]) -> list[str]:
    """Return the names, cut in the middle to fit beside a chart; no two are the same."""
    half = LONGEST // 2 - 1
    short = [n if len(n) <= LONGEST else f"{n[:half]}…{n[-half:]}" for n in names]
    many = Counter(short)
    return [f"{place + 1}: {s}" if many[s] > 1 else s for place, s in enumerate(short)]


def _sets(row: SetsRow) -> dict[str, Any]:
    """Return the pooled sets, and those of the languages apart."""
    pooled = [one for one in row.overlaps if one.source == POOLED]
    return {"row": row, "pooled": pooled, "others": [o for o in row.overlaps if o not in pooled]}
