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

from neuron_atlas import hooks, model, scores, store
from neuron_atlas.extraction import extract, reading
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
    """12 one-vs-rest relations, 600 prompts, 100 neurons with many ties."""
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(600, 100)).astype(np.float32)).bfloat16()
    relation = np.arange(600) % 12
    groups = torch.from_numpy(relation == np.arange(12)[:, None])
    plain = values.float().numpy()

    def theirs() -> Result:
        return np.array(
            [
                [average_precision_score(relation == r, plain[:, n]) for n in range(100)]
                for r in range(12)
            ]
        )

    return compare(
        "average-precision",
        "scikit-learn",
        lambda: scores.average_precision(values, groups).numpy(),
        theirs,
        runs=2,
    )


@torch.no_grad()
def extraction(lm: LanguageModel) -> dict[str, Any]:
    """Hidden units of all layers at the answer position: batched body, or one full forward each."""
    readings = [reading(lm, p, (0, 1), "answer") for p in PROMPTS]
    modules = model.site_modules(lm, "hidden")

    def ours() -> Result:
        out = np.zeros((len(readings), lm.n_layers, lm.n_neurons), np.float32)
        for places, values in extract(lm, readings):
            out[places] = values.float().numpy()
        return out

    def theirs() -> Result:
        rows = []
        for one in readings:
            with hooks.record(modules) as values:
                lm.network(torch.tensor([one.ids]))
            rows.append(torch.stack([values[i][0, -1] for i in range(lm.n_layers)]))
        return torch.stack(rows).float().numpy()

    return compare("extraction", "transformers", ours, theirs, runs=2)


def main() -> None:
    """Run every comparison and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    words = parser.parse_args()
    lm = model.load(words.model)
    found = [average_precision(), extraction(lm)]
    with store.atomic(words.out) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for row in found:
        print(
            f"{row['name']:18} {row['ours_s']:8.3f} s, {row['peer']} {row['peer_s']:8.3f} s: "
            f"{row['ratio']:.1f}x, parity {row['parity']:.1g}"
        )


if __name__ == "__main__":
    main()
