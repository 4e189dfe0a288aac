"""Read what the earlier stages left, for the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.cards.reading import Cards, read_cards
from neuron_atlas.pipeline import store
from neuron_atlas.statistics.holm import holm
from neuron_atlas.verdicts.questions import QUESTIONS

DEMONSTRATED = ["fact", "relation", "template", "correct", "answer_shown", "repeated"]
RECALL = [
    *("fact", "relation", "template", "objects", "rank", "log_probability", "correct", "known"),
    "n_beginnings",
]
TESTING = "test"  # the role of the template that tests
ASKED = [
    *("relation", "template_role", "prompt", "answer", "rank", "correct", "predicted"),
    *("candidates", "candidate_labels"),
]
EXAMPLES = ["relation", "prompt", "answer", "given", "rank", "correct"]


@dataclass(frozen=True)
class Results:
    """What the earlier stages left.

    Attributes:
        provenance: data/model/provenance.json.
        fact_source: `facts.source` of params.yaml.
        facts: Language to data/facts_report/<language>.json.
        recall: Language to its recall table; the keys give the order of the languages.
        demonstrated: Language to its held-out facts after demonstrations.
        consistency: data/consistency.json.
        relation_neurons: data/relation_neurons/summary.json.
        sets: data/relation_neurons/sets.parquet.
        effects: data/effects/summary.json.
        cells: data/effects/cells.parquet.
        doses: data/effects/doses.parquet.
        pushes: data/effects/pushes.parquet.
        contrasts: data/effects/contrasts.parquet.
        transfer: data/effects/transfer.parquet.
        knowledge: data/knowledge/summary.json.
        tables: The tables of data/knowledge by name; a table that was not measured is absent.
        own: data/effects/own.parquet.
        cells_by_language: data/effects/cells_by_language.parquet.
        examples: Language to a few prompts of each relation, with the answers of the model.
        cards: What is known of single neurons; None if no neuron has a card.
        calibration: By claim, how its verdict does on simulated tables; empty if that is not known.
        parameters: All of params.yaml.
    """

    provenance: Mapping[str, Any]
    fact_source: str
    facts: Mapping[str, Mapping[str, Any]]
    recall: Mapping[str, pd.DataFrame]
    demonstrated: Mapping[str, pd.DataFrame]
    consistency: Mapping[str, Any]
    relation_neurons: Mapping[str, Any]
    sets: pd.DataFrame
    effects: Mapping[str, Any]
    cells: pd.DataFrame
    doses: pd.DataFrame
    pushes: pd.DataFrame
    contrasts: pd.DataFrame
    transfer: pd.DataFrame
    knowledge: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    own: pd.DataFrame
    cells_by_language: pd.DataFrame
    examples: Mapping[str, pd.DataFrame]
    cards: Cards | None
    calibration: Mapping[str, Mapping[str, float]]
    parameters: Mapping[str, Any]

    @property
    def popularity(self) -> dict[str, Mapping[str, float]]:
        """By language, the popularity of its facts' subjects, where the source tells it."""
        return {code: report.get("popularity", {}) for code, report in self.facts.items()}

    @property
    def languages_left_out(self) -> dict[str, str]:
        """By language that is left out, of what and why, in words that follow "left out"."""
        with_sets = set(self.sets["source"])
        found = {}
        for code, table in self.recall.items():
            if not table["correct"].any():
                found[code] = "of all that follows, since the model answers no prompt right"
            elif code not in with_sets:
                found[code] = (
                    "of all on relation neurons, since no relation has enough right answers there"
                )
        return found

    @property
    def verdicts(self) -> dict[str, Mapping[str, Any]]:
        """The verdicts on relation neurons, then those on knowledge neurons, by claim.

        Here all claims come together, so that `p_holm` is over all of them. A claim of the
        pipeline's own has `question`: what was tested, against what, and what the paper says.
        """
        found = with_holm({**self.effects["verdicts"], **self.knowledge["verdicts"]})
        asked = {name: {"question": one.as_dict()} for name, one in QUESTIONS.items()}
        return {claim: {**verdict, **asked.get(claim, {})} for claim, verdict in found.items()}


def with_holm(verdicts: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the verdicts, each with `p_holm`: its p corrected over all claims that have one."""
    raw = [verdict.get("p_value") for verdict in verdicts.values()]
    p = holm(np.array([np.nan if one is None else one for one in raw], dtype=np.float64))
    return {
        claim: {**verdict, "p_holm": None if np.isnan(one) else float(one)}
        for (claim, verdict), one in zip(verdicts.items(), p, strict=True)
    }


@dataclass(frozen=True)
class Folders:
    """Where the earlier stages write: `consistency` and `calibration` are files, others folders."""

    model: Path
    facts_report: Path
    recall: Path
    demonstrations: Path
    consistency: Path
    relation_neurons: Path
    effects: Path
    knowledge: Path
    cards: Path
    calibration: Path


def read_results(folders: Folders, parameters: Mapping[str, Any]) -> Results:
    """Read the outputs of every earlier stage.

    Args:
        folders: Where they are.
        parameters: All of params.yaml, whose languages are read.

    Raises:
        ValueError: a file is missing or unreadable; the message names it.
    """
    languages = tuple(parameters["languages"])
    facts = store.by_language(folders.facts_report, languages, suffix=".json")
    recall = store.by_language(folders.recall, languages, suffix=".parquet")
    demonstrated = store.by_language(folders.demonstrations, languages, suffix=".parquet")
    return Results(
        provenance=store.read_json(folders.model / "provenance.json"),
        fact_source=parameters["facts"]["source"],
        facts={language: store.read_json(path) for language, path in facts.items()},
        recall={language: store.read_table(path, RECALL) for language, path in recall.items()},
        examples={
            language: chosen_examples(store.read_table(path, ASKED))
            for language, path in recall.items()
        },
        demonstrated={
            language: store.read_table(path, DEMONSTRATED)
            for language, path in demonstrated.items()
        },
        consistency=store.read_json(folders.consistency),
        relation_neurons=store.read_json(folders.relation_neurons / "summary.json"),
        sets=store.read_table(folders.relation_neurons / "sets.parquet"),
        effects=store.read_json(folders.effects / "summary.json"),
        cells=store.read_table(folders.effects / "cells.parquet"),
        doses=store.read_table(folders.effects / "doses.parquet"),
        pushes=store.read_table(folders.effects / "pushes.parquet"),
        contrasts=store.read_table(folders.effects / "contrasts.parquet"),
        transfer=store.read_table(folders.effects / "transfer.parquet"),
        knowledge=store.read_json(folders.knowledge / "summary.json"),
        tables={
            path.stem: store.read_table(path)
            for path in sorted(folders.knowledge.glob("*.parquet"))
        },
        own=store.read_table(folders.effects / "own.parquet"),
        cells_by_language=store.read_table(folders.effects / "cells_by_language.parquet"),
        cards=_cards(folders.cards),
        calibration=store.read_json(folders.calibration) if folders.calibration.exists() else {},
        parameters=parameters,
    )


def _cards(folder: Path) -> Cards | None:
    cards = read_cards(folder)
    return cards if len(cards.neurons) else None


def chosen_examples(recalled: pd.DataFrame) -> pd.DataFrame:
    """Return of each relation the first testing prompt that is answered right, and a wrong one.

    Args:
        recalled: A language's recall table, with the columns of `ASKED`.

    Returns:
        The columns of `EXAMPLES`; `given` is the label of the model's answer.
    """
    testing = recalled[recalled["template_role"] == TESTING]
    first = testing.groupby(["relation", "correct"], sort=False).head(1)
    rows = first.sort_values(["relation", "correct"], ascending=[True, False], kind="stable")
    labels = [
        dict(zip(ids, names, strict=True)).get(given, given)
        for ids, names, given in zip(
            rows["candidates"], rows["candidate_labels"], rows["predicted"], strict=True
        )
    ]
    return rows.assign(given=labels)[EXAMPLES].reset_index(drop=True)
