"""Compare the engine with the plain way of doing the same, interleaved in one run, with parity.

Usage: python benchmarks/bench.py data/model benchmarks/results.json

Each row holds medians of runs that alternate between the two, their ratio, and the largest
difference of the results relative to the largest value. Times depend on the machine and what else
it does; ratios much less so.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from neuron_atlas import ablation, activations, blocks, hooks, model, scores, scoring, store
from neuron_atlas.model import LanguageModel

WORDS = "France Japan Kenya Peru Norway Egypt Canada Vietnam Poland Chile".split()
PROMPTS = [f"Country: {word}. Its capital city is called" for word in WORDS]
Result = np.ndarray


def compare(
    name: str, peer: str, ours: Callable[[], Result], theirs: Callable[[], Result], *, runs: int
) -> dict[str, Any]:
    """Time two ways of computing the same numbers, in alternation."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    results = {"ours": ours(), "theirs": theirs()}  # the first runs warm caches and are not timed
    for _ in range(runs):
        for who, run in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            run()
            seconds[who].append(time.perf_counter() - start)
    mine, other = (statistics.median(seconds[who]) for who in ("ours", "theirs"))
    gap = np.abs(results["ours"] - results["theirs"]).max() / np.abs(results["theirs"]).max()
    return {
        "name": name,
        "unit": "s",
        "ours_s": round(mine, 4),
        "peer": peer,
        "peer_version": version(peer),
        "peer_s": round(other, 4),
        "ratio": round(other / mine, 2),
        "parity": float(f"{gap:.2g}"),
    }


def average_precision() -> dict[str, Any]:
    """12 one-vs-rest relations, 600 prompts, 500 neurons with many ties."""
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(600, 500)).astype(np.float32)).bfloat16()
    relation = np.arange(600) % 12
    groups = torch.from_numpy(relation == np.arange(12)[:, None])
    plain = values.float().numpy()

    def theirs() -> Result:
        return np.array(
            [
                [average_precision_score(relation == r, plain[:, n]) for n in range(500)]
                for r in range(12)
            ]
        )

    return compare(
        "average-precision",
        "scikit-learn",
        lambda: scores.average_precision(values, groups).numpy(),
        theirs,
        runs=3,
    )


@torch.no_grad()
def extraction(lm: LanguageModel) -> dict[str, Any]:
    """Hidden units of all layers at the answer position: batched body, or one full forward each."""
    readings = [activations.reading(lm, p, (0, 1), "answer") for p in PROMPTS * 6]
    modules = model.site_modules(lm, "hidden")

    def ours() -> Result:
        out = np.zeros((len(readings), lm.n_layers, lm.n_neurons), np.float32)
        for places, values in activations.extract(lm, readings):
            out[places] = values.float().numpy()
        return out

    def theirs() -> Result:
        rows = []
        for one in readings:
            with hooks.record(modules) as values:
                lm.network(torch.tensor([one.ids]))
            rows.append(torch.stack([values[i][0, -1] for i in range(lm.n_layers)]))
        return torch.stack(rows).float().numpy()

    return compare("extraction", "transformers", ours, theirs, runs=3)


@torch.no_grad()
def interventions(lm: LanguageModel) -> dict[str, Any]:
    """64 sets of 100 neurons at the answer position of ten prompts, or one full forward each."""
    rng = np.random.default_rng(0)
    n = lm.n_layers * lm.n_neurons
    sets = [rng.choice(n, size=100, replace=False) for _ in range(64)]
    edits = ablation.arms(sets, torch.zeros(1, lm.n_layers, lm.n_neurons))
    intervene = ablation.intervention(lm, edits)
    answer = model.continuation(lm, PROMPTS[0], " Paris")[:1]
    asked = [blocks.query(lm, p, [answer]) for p in PROMPTS]

    def ours() -> Result:
        arms = [range(len(sets))] * len(asked)
        found = scoring.log_probabilities(lm, asked, arms=arms, intervene=intervene)
        return np.stack([values[:, 0] for values in found])

    def theirs() -> Result:
        rows = []
        for one in asked:
            ids = torch.tensor([one.prompt.before] * 32)
            parts = []
            for start in range(0, len(sets), 32):
                arm = torch.full(ids.shape, -1)
                arm[:, -1] = torch.arange(start, start + 32)
                with intervene(arm):
                    logits = lm.network(ids, logits_to_keep=1).logits[:, 0].float()
                parts.append(logits.log_softmax(-1)[:, answer[0]])
            rows.append(torch.cat(parts).numpy())
        return np.stack(rows)

    return compare("interventions", "transformers", ours, theirs, runs=3)


def main() -> None:
    """Run every comparison and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    words = parser.parse_args()
    lm = model.load(words.model)
    found = [average_precision(), extraction(lm), interventions(lm)]
    with store.atomic(words.out) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for row in found:
        print(
            f"{row['name']:18} {row['ours_s']:8.3f} s, {row['peer']} {row['peer_s']:8.3f} s: "
            f"{row['ratio']:.1f}x, parity {row['parity']:.1g}"
        )


if __name__ == "__main__":
    main()
