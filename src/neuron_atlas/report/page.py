"""Write the report: one self-contained HTML page on what was run, found and not found."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from neuron_atlas.explorer import assets
from neuron_atlas.findings.recall import ALL, by_popularity, with_demonstrations
from neuron_atlas.neurons.overlap import expected_jaccard
from neuron_atlas.pages import charts as page_scripts
from neuron_atlas.pages.charts import Chart
from neuron_atlas.pages.shell import Script, filled, script
from neuron_atlas.pipeline.store import records
from neuron_atlas.report import data_card, provenance
from neuron_atlas.report.claims import CLAIMS, VERDICT_SENTENCES, Claim
from neuron_atlas.report.inputs import Results
from neuron_atlas.report.plot_data import CONTROL_NAMES, PART_NAMES, PLACES, SIGNIFICANT
from neuron_atlas.report.relation_sections import RelationSection, relation_sections

N_STRONGEST = 10  # cells in the table of the strongest effects
NUMBERS = ("effect", "low", "high", "p_value", "p_holm", "mde")
QUESTIONS = {  # of the table of contrasts
    "right": "answered right",
    "all": "all",
    "seen": "answered right, with answers that selected neurons",
}
FLIPPED = {"all": "all", "known": "of known facts", "unknown": "of other facts"}
MEASURES = {  # in which a set can exceed the chimeras
    "held_out_ap": "The average precision on held-out facts",
    "split_half_jaccard": "The overlap of sets from two halves of the facts",
}
CONTENTS = {  # the page's sections, by their ids
    "verdicts": "Findings",
    "relations": "Relations",
    "explorer": "Neurons",
    "known": "Recall",
    "neurons": "Where they are",
    "off": "Switched off",
    "matrix": "Interference",
    "doses": "Dose and push",
    "transfer": "Transfer",
    "installed": "Installed",
    "selectors": "Other selectors",
    "knowledge": "Knowledge neurons",
    "independent": "Language-independent",
    "specific": "Language-specific",
    "editing": "Editing",
    "degenerate": "Degenerate",
    "checking": "Fact checking",
    "calibration": "Calibration",
    "facts": "Facts",
    "run": "Provenance",
    "method": "Method and limits",
}


def render(
    results: Results,
    summary: Mapping[str, Any],
    charts: Mapping[str, Chart],
    *,
    title: str,
    top_neurons: int,
) -> str:
    """Return the page's HTML.

    Every text from the data is escaped, and the page loads nothing. The same input always gives the
    same text.

    Args:
        results: What the earlier stages left.
        summary: Content of metrics/summary.json.
        charts: The charts by name; the page leaves out missing ones.
        title: Heading of the page.
        top_neurons: Neurons shown per relation, best first, at least 1.

    Raises:
        ValueError: `top_neurons` is below 1.
    """
    if top_neurons < 1:
        raise ValueError(f"report.top_neurons must be at least 1, got {top_neurons}")
    sections = relation_sections(results, top_neurons=top_neurons)
    return filled(
        "index.html.j2",
        scripts=scripts(results),
        title=title,
        contents=_contents(summary, results),
        **_words(),
        **_findings(results, sections),
        **_tables(results),
        summary=summary,
        needed=_needed(summary.get("selectors", {}), results.relation_neurons),
        charts=charts,
        card=data_card.contents(results),
        made_from=provenance.made_from(results),
        explorer=None if results.cards is None else assets.view(results.cards),
    )


def scripts(results: Results) -> list[Script]:
    """Return what the page runs; without cards there is nothing to explore."""
    explore = [] if results.cards is None else assets.scripts()
    return [*page_scripts.scripts(), script("index.js"), *explore]


def _words() -> dict[str, Any]:
    """Return what the templates call things."""
    return {
        "sentences": VERDICT_SENTENCES,
        "edit_places": PLACES,
        "questions": QUESTIONS,
        "flipped": FLIPPED,
        "controls": CONTROL_NAMES,
        "parts": PART_NAMES,
    }


def _findings(results: Results, sections: Sequence[RelationSection]) -> dict[str, Any]:
    """Return the claims, the relations, and what earlier stages say of themselves."""
    return {
        "claims": _claims(results.verdicts),
        "relations": sections,
        "anchors": {one.name: one.anchor for one in sections},
        "provenance": results.provenance,
        "effects": results.effects,
        "found": results.relation_neurons,
        "like_chimeras": _like_chimeras(results.relation_neurons["like_chimeras"]),
        "knowledge": results.knowledge,
        "calibration": results.calibration,
        "languages_left_out": results.languages_left_out,
    }


def _like_chimeras(sets: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Return which relations do not exceed the chimeras: by measure, and where they were found."""
    found: dict[str, dict[str, list[str]]] = {}
    for one in sets:
        for measure in one["measures"]:
            by_relation = found.setdefault(MEASURES[measure], {})
            by_relation.setdefault(one["relation"], []).append(one["source"])
    return found


def _tables(results: Results) -> dict[str, Any]:
    """Return the rows of the page's tables."""
    return {
        "tables": {name: records(table) for name, table in results.tables.items()},
        "n_massive": int(results.sets["massive"].sum()),
        "demonstrated": _demonstrated(results),
        "popularity": by_popularity(results.recall, results.popularity),
        "pushes": _pushes(results.pushes),
        "strongest": _strongest(results.cells),
        "improved": _improved(results.cells),
        "precision": results.consistency["precision_error"],
    }


def _contents(summary: Mapping[str, Any], results: Results) -> list[tuple[str, str]]:
    """Return the sections that the page has: their ids and names."""
    absent = set() if results.cards is not None else {"explorer"}
    if not summary.get("selectors"):
        absent.add("selectors")
    if not results.calibration:
        absent.add("calibration")
    return [(anchor, name) for anchor, name in CONTENTS.items() if anchor not in absent]


def _claims(verdicts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the verdicts in the order of `CLAIMS`, then all others."""
    names = [*(name for name in CLAIMS if name in verdicts), *sorted(set(verdicts) - set(CLAIMS))]
    rows = []
    for name in names:
        claim = CLAIMS.get(name, Claim(name, ""))
        values = {**dict.fromkeys(NUMBERS), **verdicts[name]}
        known = {"key": name, "name": claim.name, "meaning": claim.meaning, "unit": claim.unit}
        known |= {"evidence": claim.evidence}
        known |= {"plain": VERDICT_SENTENCES[values["verdict"]]}
        known |= {"because": _because(values)}
        rows.append({**values, **known})
    return rows


def _needed(
    selectors: Mapping[str, Mapping[str, Any]], sets: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the selector whose sets answers need most, beyond both controls; None if none is.

    `chance` is the Jaccard index with average precision's sets that random sets would have.
    """
    ends = ("necessity_high", "specificity_high")
    shown = {
        name: found
        for name, found in selectors.items()
        if all(found.get(end) is not None and found[end] < 0 for end in ends)
    }
    if not shown:
        return None
    name = min(shown, key=lambda one: float(shown[one]["necessity_excess"]))
    k, n = sets["k"], sets["n_layers"] * sets["n_neurons"]
    return {**shown[name], "name": name.replace("_", " "), "chance": expected_jaccard(k, k, n)}


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
