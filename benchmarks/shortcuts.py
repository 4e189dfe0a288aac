"""Command: what each shortcut saves, beside the same work in full, on one language of a run.

`shortcuts.py MODEL RECALL OUT` reads a model and a recall table, and writes `OUT` (JSON): seconds
of both, interleaved, their ratio, and the largest difference of their results in nats (for
attributions, of the largest score).
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from neuron_atlas.attributions import clean_pass, gradients, quadrature
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.attributions.screening import Screen
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import ablation, prompt_choice
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.contenders import score_contenders
from neuron_atlas.scoring.trees import query
from timing import Contender, interleave

ROUNDS = 4
N_FACTS, N_ARMS, K = 8, 80, 100  # as in the stage `interference`
N_PROMPTS = 64
SHARE = 0.002  # `attributions.screen`, as shipped
Run = Callable[[], np.ndarray]


def normalisers(lm: LanguageModel, recalled: pd.DataFrame, tolerance: float) -> Run:
    """Ask facts under many arms."""
    rng, size = np.random.default_rng(0), lm.n_layers * lm.n_neurons
    sets = [rng.choice(size, K, replace=False) for _ in range(N_ARMS)]
    edits = ablation.edits_of(sets, torch.zeros(1, lm.n_layers, lm.n_neurons))
    tokens = CandidateTokens(lm)
    right = recalled[recalled["correct"]].drop_duplicates("relation")
    rows = store.records(right)[:N_FACTS]
    asked = [query(lm, row["prompt"], _as_asked(tokens, row)) for row in rows]
    intervention = Intervention(lm, edits, tolerance=tolerance)

    def run() -> np.ndarray:
        found = intervention.ask_beside_clean(asked, [range(N_ARMS)] * len(asked))
        return np.concatenate([one.values.ravel() for one in found])

    return run


def _as_asked(tokens: CandidateTokens, row: Mapping[str, Any]) -> list[Text]:
    """Return right answers whole and the others' first tokens, as the stage `interference` asks."""
    texts = tokens.answers(row["prompt"], row["separator"], row["candidate_labels"])
    right = np.isin(row["candidates"], row["objects"])
    return [text if ok else text[:1] for text, ok in zip(texts, right, strict=True)]


def candidates(lm: LanguageModel, recalled: pd.DataFrame, exact: int | None) -> Run:
    """Score the candidates of prompts; the result has the right answers' values."""
    tokens, rows = CandidateTokens(lm), store.records(recalled.iloc[:N_PROMPTS])
    right = [np.isin(r["candidates"], r["objects"]) for r in rows]
    asked = [
        query(lm, r["prompt"], tokens.answers(r["prompt"], r["separator"], r["candidate_labels"]))
        for r in rows
    ]

    def run() -> np.ndarray:
        found = score_contenders(lm, asked, right, exact=exact)
        return np.array([one.values[ok].max() for one, ok in zip(found, right, strict=True)])

    return run


def paths(lm: LanguageModel, recalled: pd.DataFrame, screen: Screen | None) -> Run:
    """Attribute prompts by three evaluations per path; the scores in units of the largest."""
    tokens = CandidateTokens(lm)
    rows = prompt_choice.first_known(recalled, max_facts=1).drop_duplicates("fact")[:N_FACTS]
    asked = [question_of(tokens, row) for row in store.records(rows)]
    method = gradients.path_method(
        lm,
        baseline="occlusion",
        rule=quadrature.radau(3),
        target="candidates",
        screen=screen,
        check=False,
    )

    def run() -> np.ndarray:
        found = list(clean_pass.run_methods(lm, asked, {"one": method}, by_words=True))
        order = np.argsort(np.concatenate([part["one"].places for part in found]))
        scores = torch.cat([part["one"].scores for part in found])[order].numpy()
        return np.asarray(scores / scores.max())

    return run


def _ready(run: Run) -> Run:
    return run


def main(model_folder: Path, recall_file: Path, out: Path) -> None:
    """Time each shortcut beside the same work in full."""
    lm, recalled = language_model.load(model_folder), store.read_table(recall_file)
    screen = Screen(SHARE, quadrature.radau(2))
    pairs: dict[str, tuple[Run, Run]] = {
        "normalisers": (normalisers(lm, recalled, 1e-3), normalisers(lm, recalled, 0.0)),
        "candidates": (candidates(lm, recalled, 12), candidates(lm, recalled, None)),
        "paths": (paths(lm, recalled, screen), paths(lm, recalled, None)),
    }
    rows: list[dict[str, Any]] = []
    for name, (short, full) in pairs.items():
        runs = {"short": short, "full": full}
        timed = interleave(
            {way: Contender(partial(_ready, run), ours=True) for way, run in runs.items()},
            rounds=ROUNDS,
        )
        seconds = {way: one.seconds for way, one in timed.items()}
        gap = float(np.abs(timed["short"].result - timed["full"].result).max())
        rows.append(
            {
                "name": name,
                "short_s": seconds["short"],
                "full_s": seconds["full"],
                "ratio": seconds["full"] / seconds["short"],
                "difference": gap,
            }
        )
        print(rows[-1])
    store.write_json(out, {"language": recall_file.stem, "rows": rows})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
