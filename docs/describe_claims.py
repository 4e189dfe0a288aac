"""Write what each claim tests into docs/methods/claims.md: `make docs`."""

import sys
from pathlib import Path

from neuron_atlas.report.claims import CLAIMS
from neuron_atlas.verdicts import interest
from neuron_atlas.verdicts.questions import QUESTIONS

PAGE = Path(__file__).parent / "methods" / "claims.md"
INTEREST = {
    "relation_neurons_exist": interest.RELATION_NEURONS,
    "relation_neurons_suffice": interest.SUFFICIENCY,
    "cumulativity": interest.CUMULATIVITY,
    "versatility_relations": interest.CELL,
    "versatility_languages": interest.LANGUAGES,
    "interference": interest.CELL,
    "average_precision_beats_other_selectors": interest.SELECTORS,
    "amig_beats_baselines": interest.ATTRIBUTION,
    "language_independent_neurons_exist": interest.LANGUAGE_INDEPENDENT,
    "language_specific_neurons_exist": interest.LANGUAGE_SPECIFIC,
    "cross_lingual_editing": interest.EDITING,
    "degenerate_neurons_exist": interest.DEGENERATE,
    "degenerate_neurons_help_fact_checking": interest.FACT_CHECKING,
}
INTRODUCTION = """# What each claim tests

Written by `make docs` from the words that the page of a run shows. What the verdicts' words mean is
in the [glossary](../glossary.md#verdicts), how they come about in [verdicts](verdicts.md), and what
the default run says in [results](../results.md#what-the-default-run-says).
"""


def page() -> str:
    """Return a section for each claim, in the order of the page of a run."""
    return INTRODUCTION + "".join(_section(name) for name in CLAIMS)


def _section(name: str) -> str:
    claim, asked = CLAIMS[name], QUESTIONS[name]
    wanted = f"{INTEREST[name]:g} ({claim.unit})"
    rows = {
        "Measured": asked.tested,
        "Against": asked.against,
        "In the literature": asked.published,
        "Effect of interest": wanted,
    }
    listed = "".join(f"* **{title}:** {text}.\n" for title, text in rows.items())
    return f"\n## {name}\n*{claim.name}.* {claim.meaning}\n\n{listed}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
