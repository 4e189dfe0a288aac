"""How much main memory it takes to load a model, whole and spread, beside the size of its files.

`python benchmarks/loading.py folder` writes a random llama of 1.1 billion weights in bfloat16 to
the folder, where it needs 2.2 GB of disk, loads it in processes of their own, and prints what they
held as a share of the files. Resident are pages of the files, which the system takes back when it
needs them, and the process's own, which it cannot.
"""

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
import transformers as tr

from neuron_atlas.activations import extraction
from neuron_atlas.model import language_model
from shapes import word_tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
}
WAYS = {"whole": "cpu", "whole in float32": "cpu", "spread over memory and disk": "spread"}


def write(folder: Path) -> None:
    """Write a random model."""
    auto: Any = tr.AutoModelForCausalLM
    wrapping: Any = tr.PreTrainedTokenizerFast
    config = tr.LlamaConfig(**SHAPE)
    network = auto.from_config(config, dtype=torch.bfloat16)
    network.save_pretrained(folder)
    words = word_tokenizer(config.vocab_size, encoder=False)
    wrapping(tokenizer_object=words).save_pretrained(folder)


def held() -> tuple[int, int]:
    """Return the bytes of this process that are resident: all, and its own."""
    text = Path("/proc/self/status").read_text()
    every, own = (
        re.search(rf"^{name}:\s*(\d+)", text, flags=re.M) for name in ("VmRSS", "RssAnon")
    )
    assert every is not None
    assert own is not None
    return int(every[1]) << 10, int(own[1]) << 10


def load(folder: Path, way: str) -> None:
    """Load the model and extract from two prompts; print the most that was held meanwhile."""
    most, stop = [0, 0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            most[:] = [max(a, b) for a, b in zip(most, held(), strict=True)]
            time.sleep(0.005)

    before = held()
    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    dtype = torch.float32 if "float32" in way else None
    lm = language_model.load(folder, device=WAYS[way], dtype=dtype)
    loaded, took = list(most), time.perf_counter() - start
    asked = [extraction.reading(lm, f"w{i} w7 w8", (0, 1), "answer") for i in (5, 6)]
    list(extraction.extract(lm, asked))
    stop.set()
    watcher.join()
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    parts = ("resident", "own")
    found: dict[str, Any] = {
        "way": way,
        "files_gb": round(size / 1e9, 2),
        "seconds": round(took, 1),
    }
    for name, some in (("loading", loaded), ("with_a_pass", most)):
        own = zip(parts, some, before, strict=True)
        found[name] = {part: round((a - b) / size, 3) for part, a, b in own}
    sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    """Write the model, and load it in each way in a process of its own."""
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        load(folder, sys.argv[2])
        return
    write(folder)
    for way in WAYS:
        subprocess.run([sys.executable, __file__, str(folder), way], check=True)


if __name__ == "__main__":
    main()
