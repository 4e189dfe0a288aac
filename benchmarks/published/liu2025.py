"""Command: Liu et al. 2025 (arXiv 2502.17355) as published, and what each control changes.

`python -m published.liu2025 MODEL LRE OUT` reads a model's folder and LRE (a folder or zip), and
writes the figures (`OUT`, JSON); `published.protocols` makes tables of them.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import progress, store
from published import figures, preparing
from published.experiment import Condition, measure, part
from published.places import HIDDEN, RAW, Edit, Places
from published.preparing import Chosen, Known, Sizes
from published.responses import Responses, respond

N_TO_MATCH = 16  # identification prompts on which pushes are made equal


def run(lm: LanguageModel, lre: Path, sizes: Sizes) -> dict[str, Any]:
    """Run both protocols and all controls; return the figures."""
    start = time.process_time()
    everything = preparing.known(lm, lre, sizes)
    relations = {r: one for r, one in everything.items() if one.n_known >= sizes.known}
    if len(relations) < 2:
        counts = {r: one.n_known for r, one in everything.items()}
        raise ValueError(
            f"expected two or more relations with {sizes.known} known facts, got {counts}; "
            "choose a model that knows more"
        )
    select = [q for one in relations.values() for q in one.identification]
    responses = respond(lm, select)
    chosen = preparing.choose(lm, relations, responses, sizes)
    rows = table(lm, relations, chosen, responses, sizes)
    return {
        "sizes": asdict(sizes) | {"k": len(next(iter(chosen.values())).raw)},
        "raw_neurons": Places(lm, RAW).total,
        "cpu_seconds": round(time.process_time() - start),
        **figures.figures(everything, relations, chosen, rows, Places(lm, RAW)),
    }


def table(
    lm: LanguageModel,
    relations: Mapping[str, Known],
    chosen: Mapping[str, Chosen],
    responses: Responses,
    sizes: Sizes,
) -> pd.DataFrame:
    """Measure every arm of every relation; a row per arm and question."""
    rows: list[dict[str, Any]] = []
    with progress.bar("arms", unit="arm") as shown:
        start = 0
        for relation, one in relations.items():
            own = responses.of(range(start, start + len(one.identification)))
            start += len(one.identification)
            for condition in conditions(lm, one, relation, chosen, own, responses, sizes):
                for found in measure(lm, condition, relation, sizes.seed):
                    rows += found
                    shown.update()
    return pd.DataFrame(rows)


def conditions(
    lm: LanguageModel,
    one: Known,
    relation: str,
    chosen: Mapping[str, Chosen],
    own: Responses,
    responses: Responses,
    sizes: Sizes,
) -> Iterator[Condition]:
    """Yield the paper's condition, and those that differ from it in one thing; ours is the last."""
    asked, second = preparing.held_out(lm, one.held_out), preparing.held_out(lm, one.second)
    raw, hidden = Places(lm, RAW), Places(lm, HIDDEN)
    raw_mean, hidden_mean = preparing.means(responses)
    many, few = sizes.draws
    mine = chosen[relation]
    nothing = mine.raw[:0]
    zero = Edit(raw, nothing, torch.zeros(raw.total))
    every = {"unmatched": many, "layer": few, "push": few, "other_push": few}
    two = {"unmatched": few, "push": few}
    others = {r: c.raw for r, c in chosen.items() if r != relation}
    match = own.mlp_input[:N_TO_MATCH]
    theirs = Condition("published", zero, mine.raw, others, asked, match, every)
    yield theirs
    alike = replace(theirs, others={}, draws=two)
    yield replace(alike, name="mean", edit=replace(zero, value=raw_mean))
    yield replace(alike, name="answer_only", edit=replace(zero, answer_only=True))
    yield replace(alike, name="second_template", asked=second)
    if mine.disjoint is not None:
        apart = replace(alike, asked=part(asked, mine.apart))
        yield replace(apart, name="seen_answers", draws={})
        yield replace(apart, name="unseen_answers", own=mine.disjoint)
    yield replace(
        theirs,
        name="ours",
        edit=Edit(hidden, nothing, hidden_mean, answer_only=True),
        own=mine.hidden,
        others={r: c.hidden for r, c in chosen.items() if r != relation},
        draws={**every, "unmatched": few, "layer": 0},
    )


def main(model: str, lre: str, out: str) -> None:
    """Run with the shipped sizes and write the figures."""
    name = store.read_json(Path(model, "config.json")).get("_model_name_or_path", Path(model).name)
    lm = language_model.load(Path(model), device="cpu")
    found = {"model": name, **run(lm, Path(lre), Sizes())}
    store.write_json(Path(out), found)


if __name__ == "__main__":
    main(*sys.argv[1:4])
