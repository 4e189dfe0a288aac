"""Write figures of the committed results, and lists of code, into pages: `make docs`.

A page has a mark per block, such as `<!-- figures: verdicts -->`; what follows, up to the next
`<!-- end of figures -->`, is made anew. A test compares the pages with the results.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from describe_claims import INTEREST

from neuron_atlas.attribution_methods.relevance import PLACES
from neuron_atlas.model.architectures import ARCHITECTURES
from neuron_atlas.report.claims import CLAIMS
from neuron_atlas.verdicts.verdict import Word
from neuron_atlas.wording import templates

ROOT = Path(__file__).parents[1]
NAMES = ("nulls.md", "results.md", "comparison.md", "howto/own-model.md", "howto/own-language.md")
PAGES = [ROOT / "docs" / name for name in NAMES]
MARK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
CLUSTERS = {  # what a claim's smallest effect shrinks with; of the others, relations
    "language_specific_neurons_exist": "languages",
    "versatility_relations": "facts per relation",
    "interference": "facts per relation",
    "degenerate_neurons_exist": "pairs",
}
CONTROLS = {
    "size_matched": "random neurons of like size",
    "direction": "random directions, equal push",
    "push_matched": "random neurons, equal push",
    "other_set": "other relations' neurons, smaller of the two pushes",
}
PUBLISHED = {
    "unmatched": "as many random neurons, unmatched, as published",
    "layer": "random neurons of the same layers",
    "push": "random neurons of the same layers, equal push",
    "other_push": "other relations' sets, equal push",
}
PARTS = {"effect": "answer", "effect_type": "type", "effect_given_type": "answer given type"}
TOOLS = {
    "knowledge-neurons": "attribution",
    "captum": "attribution",
    "transformer-lens": "extraction",
    "nnsight": "extraction",
    "scikit-learn": "average-precision",
    "transformers": "",
}


def summary() -> dict[str, Any]:
    """Return the results that are committed."""
    found: dict[str, Any] = json.loads((ROOT / "metrics/summary.json").read_text(encoding="utf-8"))
    return found


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a table; columns of numbers end alike."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def around(found: Mapping[str, Any], name: str = "effect") -> str:
    """Return an effect with its interval, or a dash where none was measured."""
    if found.get(name) is None:
        return "-"
    digits = 5 if abs(found["high"] - found["low"]) < 0.01 else 2
    mean, low, high = (f"{found[key]:+.{digits}f}" for key in (name, "low", "high"))
    return f"{mean} [{low}, {high}]"


def verdicts() -> str:
    """Return a row per claim: the word, the effect, and what could have been seen."""
    found = summary()["verdicts"]
    rows = (
        [
            f"[`{name}`](methods/claims.md#{name})",
            found[name]["verdict"],
            around(found[name]),
            _number(found[name].get("p_value")),
            _number(found[name].get("p_holm")),
            _number(found[name].get("mde")),
            f"{INTEREST[name]:g}",
            claim.unit,
        ]
        for name, claim in CLAIMS.items()
        if name in found
    )
    head = ["claim", "word", "effect", "p", "p over all claims", "mde", "of interest", "unit"]
    return table(head, rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def examples() -> str:
    """Return, for each word, how to read a claim of this run that got it."""
    found = summary()["verdicts"]
    parts = []
    for word in get_args(Word):
        named = [name for name in CLAIMS if found.get(name, {}).get("verdict") == word]
        shown = [_example(name, found[name]) for name in named[:1]] or ["No claim of this run."]
        if word == "untestable":
            blind = [name for name in named if found[name].get("mde") is None]
            shown += [_example(name, found[name]) for name in blind[:1] if name not in named[:1]]
        parts.append(f"* **{word}** ({len(named)}): {' '.join(shown)}\n")
    return "".join(parts)


def _example(name: str, found: Mapping[str, Any]) -> str:
    unit, wanted = CLAIMS[name].unit, INTEREST[name]
    if found.get("mde") is None:
        return f"`{name}` has nothing to measure: {found['reason']}."
    said = f"`{name}` has {around(found)} ({unit})"
    word = found["verdict"]
    if word in ("supported", "contradicted"):
        p = f"p {found['p_value']:.2g}, {found['p_holm']:.2g} over all claims"
        side = "on the side that is claimed" if word == "supported" else "on the other side"
        return f"{said}, {p}. The interval excludes 0, {side}."
    if word == "not supported":
        return (
            f"{said}. On the side that is claimed the interval ends before anything that matters, "
            f"and an effect of {found['mde']:.2g} would have been found. So the effect is small."
        )
    if word == "undecided":
        return (
            f"{said}. The interval has both 0 and effects that matter, though {found['mde']:.2g} "
            f"would have been found, less than the {wanted:g} of interest."
        )
    times = (found["mde"] / wanted) ** 2
    more = f"about {times:.1f} times as many {CLUSTERS.get(name, 'relations')}"
    return (
        f"{said}. The smallest effect it would have found is {found['mde']:.2g}, above the "
        f"{wanted:g} of interest, so it says nothing either way; by the usual law of the square "
        f"root it would take {more} to see {wanted:g}."
    )


def controls() -> str:
    """Return what relation neurons do beyond each control, on answers that are right at first."""
    found = summary()["contrasts"]["right"]
    rows = (
        [
            title,
            *(around(found[control][part], "excess") for part in PARTS),
            f"{found[control]['effect']['push_random'] / found[control]['effect']['push']:.0%}",
        ]
        for control, title in CONTROLS.items()
        if control in found
    )
    head = ["beyond", *(f"{title}, nats" for title in PARTS.values()), "push of the control"]
    return table(head, rows)


def selectors() -> str:
    """Return what the sets of every way of selecting do, beyond both controls, clearest first."""
    found = summary()["selectors"]
    tests = ("necessity", "specificity")
    rows = (
        [f"`{name}`", *(_tested(one, test) for test in tests)]
        for name, one in sorted(found.items(), key=lambda each: each[1]["necessity_excess"])
    )
    return table(["selector", *tests], rows)


def _tested(found: Mapping[str, Any], test: str) -> str:
    ends = {end: found.get(f"{test}_{end}") for end in ("excess", "low", "high")}
    return "-" if ends["excess"] is None else around(ends, "excess")


def published() -> str:
    """Return what Liu et al.'s protocol shows beside each control, share of known facts."""
    file = ROOT / "benchmarks/published/liu2025.json"
    measured = json.loads(file.read_text(encoding="utf-8"))["comparisons"]
    own = {row["control"]: row for row in measured if row["condition"] == "published"}
    rows = (
        [
            title,
            f"{own[control]['set']['drop']:.0%}",
            f"{own[control]['other']['drop']:.0%}",
            around(own[control]["difference"]["drop"], "mean"),
            f"{own[control]['push_ratio']:.0%}",
        ]
        for control, title in PUBLISHED.items()
    )
    head = ["control", "wrong: set", "wrong: control", "difference", "push of the control"]
    return table(head, rows)


def tools() -> str:
    """Return a row per measured piece of work and tool: both times, their ratio and parity."""
    measured = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    rows = (
        [
            row["peer"],
            f"`{row['name']}`",
            f"{row['peer_s']:.3g}",
            f"{row['ours_s']:.3g}",
            f"{row['ratio']:.3g}",
            f"{row['parity']:.1g} {row['parity_unit']}" if row["parity"] is not None else "-",
        ]
        for peer in TOOLS
        for row in measured
        if row["peer"] == peer
    )
    return table(["tool", "work", "its s", "our s", "ratio", "largest difference"], rows)


def families() -> str:
    """Return the model families that are known."""
    return f"{', '.join(f'`{name}`' for name in sorted(ARCHITECTURES))}.\n"


def relp() -> str:
    """Return the model families that have rules of relevance propagation."""
    return f"{', '.join(f'`{name}`' for name in sorted(PLACES))}.\n"


def languages() -> str:
    """Return the languages that have templates."""
    return f"{', '.join(f'`{code}`' for code in templates.languages())}.\n"


BLOCKS: Mapping[str, Callable[[], str]] = {
    "families": families,
    "languages": languages,
    "relp": relp,
    "verdicts": verdicts,
    "examples": examples,
    "controls": controls,
    "published": published,
    "selectors": selectors,
    "tools": tools,
}


def filled(text: str) -> str:
    """Return a page with its blocks made anew."""
    return MARK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"wrote {page}\n")
