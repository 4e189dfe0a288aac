"""The data card: where the facts come from, and how many were kept and dropped."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from neuron_atlas.pages.shell import filled
from neuron_atlas.report.inputs import Results


def render_card(results: Results, *, title: str) -> str:
    """Return the data card's HTML.

    Args:
        results: What the earlier stages left.
        title: Heading of the report.
    """
    return filled(
        "facts.html.j2",
        title=title,
        **contents(results),
        languages_left_out=results.languages_left_out,
    )


def contents(results: Results) -> dict[str, Any]:
    """Return the facts' source, their templates, and each language's relations and totals."""
    first = next(iter(results.facts.values()))
    return {
        "source": first["source"],
        "templates": first["templates"],
        "kind": results.fact_source,
        "reports": {code: _relations_and_totals(report) for code, report in results.facts.items()},
    }


def _relations_and_totals(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fact report's relations with facts, and the totals of dropped facts by reason."""
    rows = report["relations"]
    dropped = Counter[str]()
    for row in rows.values():
        dropped.update(row["dropped"])
        dropped["over the limit of facts"] += row.get("n_over_limit", 0)
        dropped["in too small relations"] += row.get("n_too_few", 0)
        dropped["without a candidate"] += row.get("n_without_candidate", 0)
        dropped["without a template"] += row.get("n_without_template", 0)
    left_out = Counter[str]()
    for row in rows.values():
        left_out.update(row["templates"].get("left_out", {}))
    used = {name: row for name, row in rows.items() if row["n_facts"]}
    return {
        "relations": used,
        "empty": sorted(set(rows) - set(used)),
        "notices": list(report.get("notices", ())),
        "n_facts": sum(row["n_facts"] for row in used.values()),
        "dropped": {name.replace("_", " "): n for name, n in dropped.items() if n},
        "left_out": {name.replace("_", " "): n for name, n in left_out.items() if n},
    }
