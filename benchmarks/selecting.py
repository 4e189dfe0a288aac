"""Measure how the time to score recorded values grows with prompts, neurons and relations.

`python benchmarks/selecting.py` writes `selecting.json`. The probe is left out: its time grows with
its prompts cubed up to `probe.MOST` of them, and not beyond. On each axis all blocks of prompts
have as many as are sorted, or none has.
"""

import atexit
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from unittest import mock

import numpy as np
import pandas as pd
import torch

from growth import Axis, time_axis
from neuron_atlas.activations.files import LayerWriter, Recorded
from neuron_atlas.detectors import probe
from neuron_atlas.pipeline import store
from neuron_atlas.relation_neurons import casting
from neuron_atlas.relation_neurons.scores import Scored, score_language
from neuron_atlas.relation_neurons.settings import SetPlan

PLAN = SetPlan(
    k=5,
    templates="min",
    min_facts=4,
    min_positives=3,
    massive=1000.0,
    exclude_massive=True,
    n_chimeras=19,
    n_draws=2,
)
OUT = Path(__file__).with_name("selecting.json")
TEMPLATES = ("select", "select", "test")


def prompts(n_relations: int, n_facts: int, roles: Sequence[str] = TEMPLATES) -> pd.DataFrame:
    """Return right prompts of as many facts per half and relation, one per role of a template."""
    rows = [
        (f"{r}:{half}{i}", f"r{r}", f"{half}{i}", t, role, True, half, half)
        for r in range(n_relations)
        for half in ("identification", "held_out")
        for i in range(n_facts)
        for t, role in enumerate(roles)
    ]
    names = "fact relation subject template template_role correct split answer_split"
    return pd.DataFrame(rows, columns=names.split())


def scoring(n_prompts: int, n_neurons: int, n_relations: int) -> Callable[[], Scored]:
    """Record random values, and return a run that scores them; the folder goes with the process."""
    table = prompts(n_relations, n_prompts // (n_relations * 2 * len(TEMPLATES)))
    place = Path(mkdtemp())
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = place / "values"
    shape = (len(table), 1, n_neurons)
    writer = LayerWriter(folder, shape=shape, dtype=torch.bfloat16, journal=place / "journal")
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    writer.write(np.arange(len(table)), values)
    writer.close()
    store.write_table(folder / "index.parquet", table.drop(columns=["split", "answer_split"]))
    about = {"n_layers": 1, "site": "hidden", "pooling": "answer"}
    store.write_json(folder / "meta.json", about)
    recorded = Recorded(folder, table)
    (one,) = casting.languages({"en": recorded}, {}, PLAN, seed=0).values()

    no_probe = torch.zeros(n_relations, 1, n_neurons)

    def run() -> Scored:
        with mock.patch.object(probe, "weights", return_value=no_probe):
            return score_language(recorded, one.cast, one.eligible.n_facts, how="min")

    return run


AXES = (
    Axis(
        "prompts",
        "scoring recorded values, 32 neurons, 4 relations",
        (12_000, 24_000, 48_000),
        lambda n: scoring(n, 32, 4),
    ),
    Axis(
        "neurons",
        "scoring recorded values, 3,000 prompts, 4 relations",
        (256, 512, 1024),
        lambda n: scoring(3000, n, 4),
    ),
    Axis(
        "relations",
        "scoring recorded values, 36,000 prompts, 32 neurons",
        (4, 8, 16),
        lambda n: scoring(36_000, 32, n),
    ),
)


if __name__ == "__main__":
    grown = [time_axis(axis, rounds=3) for axis in AXES]
    OUT.write_text(json.dumps(grown, indent=2) + "\n", encoding="utf-8")
