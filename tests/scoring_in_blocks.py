"""Score recorded values under a limit on memory: `python scoring_in_blocks.py FOLDER HOW BYTES`.

HOW is `blocks`, `layers` (no block is smaller than a layer) or `whole` (all layers are read first).
BYTES may be taken beyond what the imports took; 0 sets no limit. It prints a digest of the scores.
The probe is left out: its libraries take buffers of their own, whatever the number of prompts.
"""

import re
import resource
import sys
import threading
from hashlib import sha256
from pathlib import Path
from unittest import mock

import pandas as pd
import torch

from neuron_atlas.activations import neuron_blocks
from neuron_atlas.activations.files import LayerWriter, Recorded
from neuron_atlas.detectors import probe
from neuron_atlas.pipeline import store
from neuron_atlas.relation_neurons import casting
from neuron_atlas.relation_neurons.scores import Scored, score_language
from selecting import PLAN, prompts

BLOCK = 1 << 20  # bytes of a block: so few that a test is quick
STACK = 1 << 18  # bytes of a thread's stack, which is taken at once whatever it uses
N_LAYERS, N_NEURONS, N_FACTS = 6, 768, 1000  # facts per half and relation
SHAPE = (8 * N_FACTS, N_LAYERS, N_NEURONS)
SIZE = SHAPE[0] * N_LAYERS * N_NEURONS * 4


def table() -> pd.DataFrame:
    """Return the prompts: two relations, two halves, a template that selects and one that tests."""
    return prompts(2, N_FACTS, ("select", "test"))


def record(folder: Path) -> None:
    """Write values, a layer at a time."""
    shown = table()
    writer = LayerWriter(
        folder, shape=SHAPE, dtype=torch.float32, journal=folder.with_name("journal")
    )
    random = torch.Generator().manual_seed(0)
    step = 1000
    for start in range(0, SHAPE[0], step):
        drawn = torch.randn((step, *SHAPE[1:]), generator=random)
        drawn[:, 0, 0] += torch.tensor((shown["relation"][start : start + step] == "r0").tolist())
        writer.write(shown.index[start : start + step].to_numpy(), drawn)
    writer.close()
    store.write_table(folder / "index.parquet", shown.drop(columns=["split", "answer_split"]))
    about = {"n_layers": N_LAYERS, "site": "hidden", "pooling": "answer"}
    store.write_json(folder / "meta.json", about)


def limit(n_bytes: int) -> None:
    """Allow as many bytes more than the process has; maps that are read alone do not count."""
    (taken,) = re.findall(r"^VmData:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    most = int(taken) * 1024 + n_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def digest(found: Scored) -> str:
    """Return a digest of all scores, gaps and sizes."""
    parts = [found.relations.score, found.relations.held_out, found.relations.testing]
    parts += [found.gaps.identification, found.gaps.held_out]
    parts += [found.size.mean, found.size.largest]
    return sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()


def main(folder: Path, how: str, n_bytes: int) -> None:
    """Score under the limit."""
    torch.set_num_threads(1)
    threading.stack_size(STACK)
    neuron_blocks.BYTES = BLOCK if how == "blocks" else 1 << 40
    recorded = Recorded(folder, table())
    (one,) = casting.languages({"en": recorded}, {}, PLAN, seed=0).values()  # reads its table
    if n_bytes:
        limit(n_bytes)
    if how == "whole":
        _kept = [recorded.layer(i).clone() for i in range(N_LAYERS)]
    with mock.patch.object(probe, "weights", return_value=torch.zeros(0)):
        found = score_language(recorded, one.cast, one.eligible.n_facts, how="min")
    sys.stdout.write(f"{digest(found)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
