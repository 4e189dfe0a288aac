"""Benchmark extraction of all layers' hidden units at the last token, with Gemma 3 270M."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import extraction_peers as peers
import flops
import machine
from neuron_atlas.activations import extraction
from neuron_atlas.activations.extraction import Reading
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from timing import Benchmark, Comparison, Contender, Run, Timed

WORDS = (
    "France Japan Kenya Peru Norway Egypt Canada Vietnam Poland Chile Brazil Germany Italy Spain "
    "India China Mexico Turkey Greece Sweden Finland Ireland Austria Hungary Portugal Morocco "
    "Nigeria Thailand Malaysia Indonesia Argentina Australia"
).split()
PATTERNS = (  # the subject first: prompts with a common beginning would share its computation
    "{} is a country whose capital city, as everyone learns at school, is called",
    "{} is where the traveller flies to, so the plane will most probably land in",
    "{} has a currency, with which people pay for bread and milk, known as the",
    "{} is home to many people, and most of them speak at home a language called",
    "{} is easily found on any map of the world: it is on the continent of",
    "{} has hotels whose telephone numbers all begin with the international prefix of",
    "{} has a border in the north, and the country that lies behind it is",
    "{} has had many writers, and the best known of those who wrote there was",
)
PROMPTS = [pattern.format(word) for pattern in PATTERNS for word in WORDS]
LOOP = 8  # the loop over single prompts runs one in eight, and its time is scaled up


def float32(folder: Path) -> Benchmark:
    """Compare in float32."""
    return _benchmark(folder, torch.float32, "")


def bfloat16(folder: Path) -> Benchmark:
    """Compare in bfloat16."""
    return _benchmark(folder, torch.bfloat16, "-bf16")


def _benchmark(folder: Path, dtype: torch.dtype, suffix: str) -> Benchmark:
    get = functools.cache(functools.partial(language_model.load, folder, device="cpu", dtype=dtype))
    own = functools.partial(peers.network, folder, dtype)
    batched = {  # peers that wrap their own copy of the network
        "transformer-lens": lambda: peers.transformer_lens(folder, own(), readings(get())),
        "nnsight": lambda: peers.traces(folder, own(), readings(get()), stop=False),
        "nnsight with stop": lambda: peers.traces(folder, own(), readings(get()), stop=True),
    }
    contenders = {
        "ours": Contender(lambda: ours(get()), ours=True),
        **{name: Contender(prepare) for name, prepare in batched.items()},
        "transformers": Contender(lambda: peers.loop(get(), readings(get()), LOOP), share=1 / LOOP),
        "product": machine.product(dtype),
    }
    name, stop = f"extraction{suffix}", f"extraction-stop{suffix}"
    what = f"{len(PROMPTS)} prompts of about 16 tokens, {str(dtype).removeprefix('torch.')}"
    about = functools.partial(_share_of_peak, get)
    part = f"{what}; the peer's time is that of one prompt in {LOOP}, scaled up"

    def scaled(timed: Mapping[str, Timed]) -> dict[str, Any]:
        return about(timed) | {"work": part}

    rows = [
        Comparison(name, "transformer-lens", "ours", "transformer-lens", about=about),
        Comparison(name, "nnsight", "ours", "nnsight", about=about),
        Comparison(stop, "nnsight", "ours", "nnsight with stop", about=about),
        Comparison(name, "transformers", "ours", "transformers", about=scaled),
    ]
    return Benchmark(what, contenders, rows, memory=[c for c in contenders if c != "product"])


def readings(lm: LanguageModel) -> list[Reading]:
    """Return the prompts, tokenised, to be read at their last tokens."""
    return [extraction.reading(lm, prompt, (0, 1), "answer") for prompt in PROMPTS]


def ours(lm: LanguageModel) -> Run:
    """Return our run; no contender's time includes tokenising."""
    asked = readings(lm)

    def run() -> np.ndarray:
        found = np.empty((len(asked), lm.n_layers, lm.n_neurons), np.float32)
        for places, values in extraction.extract(lm, asked):
            found[places] = values.float().numpy()
        return found

    return run


def _share_of_peak(get: Callable[[], LanguageModel], timed: Mapping[str, Timed]) -> dict[str, Any]:
    needed = flops.extraction(get(), [len(r.ids) for r in readings(get())])
    return machine.share_of_peak(needed, timed["ours"], timed["product"])
