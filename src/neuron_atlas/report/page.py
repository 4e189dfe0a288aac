"""Write the report: one self-contained HTML page on what was run, found and not found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from neuron_atlas.findings.recall import ALL, by_popularity, with_demonstrations
from neuron_atlas.pipeline.store import records
from neuron_atlas.report.claims import CLAIMS, VERDICT_SENTENCES, Claim
from neuron_atlas.report.inputs import Results
from neuron_atlas.report.plot_data import CONTROL_NAMES, PART_NAMES, PLACES, SIGNIFICANT

FOLDER = Path(__file__).parents[1] / "page"
N_STRONGEST = 10  # cells in the table of the strongest effects
NUMBERS = ("effect", "low", "high", "p_value", "p_holm", "mde")
QUESTIONS = {  # of the table of contrasts
    "right": "answered right",
    "all": "all",
    "seen": "answered right, with answers that selected neurons",
}
FLIPPED = {"all": "all", "known": "of known facts", "unknown": "of other facts"}
MINUS = "\N{MINUS SIGN}"


def render(
    results: Results,
    summary: Mapping[str, Any],
    images: Mapping[str, str],
    *,
    title: str,
    top_neurons: int,
) -> str:
    """Return the page's HTML.

    Every text from the data is escaped; the page loads nothing and runs no script. The same input
    always gives the same text.

    Args:
        results: What the earlier stages left.
        summary: Content of metrics/summary.json.
        images: Plot name to SVG, drawn by `plots.svg`; the page leaves out missing ones.
        title: Heading of the page.
        top_neurons: Neurons shown per relation, best first, at least 1.

    Raises:
        ValueError: `top_neurons` is below 1.
    """
    if top_neurons < 1:
        raise ValueError(f"report.top_neurons must be at least 1, got {top_neurons}")
    return _filled(
        "index.html.j2",
        title=title,
        summary=summary,
        provenance=results.provenance,
        effects=results.effects,
        found=results.relation_neurons,
        claims=_claims(results.verdicts),
        knowledge=results.knowledge,
        edit_places=PLACES,
        tables={name: records(table) for name, table in results.tables.items()},
        images={name: Markup(image) for name, image in images.items()},
        n_massive=int(results.sets["massive"].sum()),
        demonstrated=_demonstrated(results),
        languages_left_out=results.languages_left_out,
        popularity=by_popularity(results.recall, results.popularity),
        questions=QUESTIONS,
        flipped=FLIPPED,
        controls=CONTROL_NAMES,
        parts=PART_NAMES,
        pushes=_pushes(results.pushes),
        strongest=_strongest(results.cells),
        improved=_improved(results.cells),
        neurons=_neurons(results.sets, top_neurons),
        precision=results.consistency["precision_error"],
    )


def render_card(results: Results, *, title: str) -> str:
    """Return the data card's HTML: where the facts come from, and how many were kept and dropped.

    Args:
        results: What the earlier stages left.
        title: Heading of the report.
    """
    first = next(iter(results.facts.values()))
    return _filled(
        "facts.html.j2",
        title=title,
        source=first["source"],
        templates=first["templates"],
        kind=results.fact_source,
        reports={code: _relations_and_totals(report) for code, report in results.facts.items()},
        languages_left_out=results.languages_left_out,
    )


def _filled(template: str, **values: Any) -> str:
    """Return a page template with its values filled in."""
    return _environment().get_template(template).render(**values)


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


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": _number,
        "signed": _signed,
        "digits": _digits,
        "by_place": _by_place,
        "p": _p,
        "small": _small,
        "count": _count,
        "link": _link,
        "share": _share,
        "with": _with,
    }
    return environment


def _number(value: float | int | None, digits: int = 2) -> str:
    """Return a number with a typographic minus, or a dash if there is none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", MINUS)


def _signed(value: float | int | None, digits: int = 2) -> str:
    if value is None or pd.isna(value):
        return "–"
    return f"{value:+.{digits}f}".replace("-", MINUS)


def _digits(values: Sequence[float | None]) -> int:
    """Return the number of decimals for figures shown together: 4 if all are nearly 0, else 2."""
    sizes = [abs(value) for value in values if value is not None and pd.notna(value)]
    return 4 if 0 < max(sizes, default=0.0) < 0.05 else 2


def _small(value: float | int | None) -> str:
    """Return a signed number with two decimals, or four if it is nearly 0."""
    if value is None or pd.isna(value):
        return "–"
    digits = 2 if abs(value) >= 0.05 or value == 0 else 4
    return f"{value:+.{digits}f}".replace("-", MINUS)


def _share(value: float | None) -> str:
    """Return a share in percent, or a dash if there is none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{100 * value:.0f}\N{NARROW NO-BREAK SPACE}%"


def _with(rows: Sequence[Mapping[str, Any]], **wanted: Any) -> list[Mapping[str, Any]]:
    """Return the rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _p(value: float | int | None) -> str:
    if value is None or pd.isna(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _count(value: int) -> str:
    return f"{value:,}"


def _link(address: str | None) -> str:
    """Return an https address unchanged, and an empty text for any other scheme."""
    return address if address and address.startswith("https://") else ""


def _claims(verdicts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the verdicts in the order of `CLAIMS`, then all others."""
    names = [*(name for name in CLAIMS if name in verdicts), *sorted(set(verdicts) - set(CLAIMS))]
    rows = []
    for name in names:
        claim = CLAIMS.get(name, Claim(name, ""))
        values = {**dict.fromkeys(NUMBERS), **verdicts[name]}
        known = {"key": name, "name": claim.name, "meaning": claim.meaning, "unit": claim.unit}
        known |= {"plain": VERDICT_SENTENCES[values["verdict"]]}
        known |= {"because": _because(values)}
        rows.append({**values, **known, "style": values["verdict"].replace(" ", "-")})
    return rows


def _because(verdict: Mapping[str, Any]) -> str:
    """Return the measurements behind a verdict, with the reason why it is untestable."""
    said, reason = str(verdict["because"]), verdict.get("reason")
    return said if not reason or reason.lower() in said.lower() else f"{said} {reason}."


def _pushes(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the effects at multiples of a set's push, and per 1,000 of push."""
    if table.empty:
        return []
    return records(table.assign(per_thousand=1000 * table["effect_per_push"]))


def _demonstrated(results: Results) -> list[dict[str, Any]]:
    """Return by language how many prompts are answered right as asked and after demonstrations."""
    table = with_demonstrations(results.recall, results.demonstrated)
    return records(table[table["relation"] == ALL]) if len(table) else []


def _by_place(rows: Sequence[Mapping[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """Join the rows that differ only in `where`: `at` maps each `where` to its row."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        named = {key: row[key] for key in keys}
        found.setdefault(tuple(named.values()), {**named, "at": {}})["at"][row["where"]] = row
    return list(found.values())


def _strongest(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells of two different relations that change most, up or down."""
    cells = cells[cells["relation"] != cells["measured"]]
    order = cells["excess"].abs().sort_values(ascending=False, kind="stable").index
    return records(cells.loc[order[:N_STRONGEST]])


def _improved(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells that improve after correction, the largest first."""
    other = cells["relation"] != cells["measured"]
    improved = cells[other & (cells["excess"] > 0) & (cells["p_adjusted"] < SIGNIFICANT)]
    return records(improved.sort_values("excess", ascending=False, kind="stable"))


def _neurons(sets: pd.DataFrame, top: int) -> list[dict[str, Any]]:
    """Return the first `top` pooled neurons of each relation."""
    pooled = sets[sets["source"] == "pooled"].sort_values("rank", kind="stable")
    return [
        {"relation": relation, "neurons": records(pooled[pooled["relation"] == relation].head(top))}
        for relation in sets.loc[sets["source"] == "pooled", "relation"].unique()
    ]
