"""Command: Dai et al. 2022 and Chen et al. 2024 as published, and what each control changes.

`python -m published.knowledge.run MODEL RECALL LANGUAGES OUT` reads a model's folder and the recall
tables of two languages, such as `en,zh`, of a finished run, and writes the figures (`OUT`, JSON). A
run that was killed goes on where it stopped.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import checkpoints, store
from published.knowledge import arms, checking, degenerate, sets, sharing, success
from published.knowledge.facts import Asked, shared_facts
from published.knowledge.ground import Ground, clean_values
from published.knowledge.plan import Plan
from published.knowledge.sets import KeyOf


def run(
    lm: LanguageModel, recall: Mapping[str, pd.DataFrame], plan: Plan, *, key: KeyOf
) -> dict[str, Any]:
    """Run both papers' protocols, ours and all controls; return the figures.

    Args:
        lm: The model.
        recall: The recall table of each of two languages. Dai et al.'s protocol is run in the
            first.
        plan: Sizes and thresholds.
        key: Names the finished parts of some work; see `checkpoints.key`.
    """
    grounds = prepare(lm, recall, plan, key=key)
    relations = next(iter(grounds.values())).asked.relations
    measured = {language: arms.measure(one, key=key) for language, one in grounds.items()}
    pairs = {language: degenerate.measure(one, key=key) for language, one in grounds.items()}
    checked = {
        language: checking.measure(one, pairs[language], key=key)
        for language, one in grounds.items()
    }
    return {
        "facts": len(relations),
        "relations": len(set(relations.values())),
        "plan": {name: value for name, value in asdict(plan).items() if name != "ours"},
        "ours": plan.ours.model_dump(),
        "sets": {code: success.figures(rows, relations) for code, rows in measured.items()},
        "sharing": sharing.figures(sharing.Languages(*grounds.values())),
        "editing": sharing.editing(measured),
        "degenerate": {
            code: degenerate.figures(rows, relations, plan) for code, rows in pairs.items()
        },
        "checking": {
            code: checking.figures(rows, relations, plan) for code, rows in checked.items()
        },
    }


def prepare(
    lm: LanguageModel, recall: Mapping[str, pd.DataFrame], plan: Plan, *, key: KeyOf
) -> dict[str, Ground]:
    """Choose facts and prompts, attribute, and make each language's sets.

    Raises:
        ValueError: there are not two languages, or too few facts are known in both.
    """
    if len(recall) != 2:
        raise ValueError(f"expected two languages, got {list(recall)}")
    relations = shared_facts(recall, relations=plan.relations, facts=plan.facts)
    asked = {code: Asked(code, table, relations) for code, table in recall.items()}
    found = {}
    for (code, one), tau in zip(asked.items(), plan.taus, strict=True):
        bags = code == next(iter(asked))
        stored = sets.scores(lm, one, plan, bags=bags, key=key)
        found[code] = sets.sets(stored, one, plan, tau=tau, bags=bags)
    chosen = sets.with_languages(found)
    return {
        code: Ground(lm, one, chosen[code], clean_values(lm, one.everything), plan)
        for code, one in asked.items()
    }


def main(model: str, recall: str, languages: str, out: str) -> None:
    """Run with the shipped plan and write the figures."""
    plan, codes = Plan(), languages.split(",")
    files = {code: Path(recall, f"{code}.parquet") for code in codes}
    inputs = [Path(model), *files.values(), *sorted(Path(__file__).parent.glob("*.py"))]
    used: list[str] = []

    def key(work: str) -> str:
        settings = {**asdict(plan), "languages": codes}
        used.append(checkpoints.key(f"published {Path(out).stem} {work}", inputs, settings))
        return used[-1]

    lm = language_model.load(Path(model), device="cpu")
    tables = {code: store.read_table(file) for code, file in files.items()}
    config = store.read_json(Path(model, "config.json"))
    found = {
        "model": config.get("_model_name_or_path", config.get("model_type")),
        "encoder": lm.architecture.encoder,
        "languages": codes,
        **run(lm, tables, plan, key=key),
    }
    store.write_json(Path(out), found)
    for one in used:
        checkpoints.done(one)


if __name__ == "__main__":
    main(*sys.argv[1:5])
