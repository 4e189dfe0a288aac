"""Extraction of the hidden units of all layers at the last token of many prompts, Gemma 3 270M."""

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
from timing import Contender, Run, Timed, Versus, Work

WORDS = (
    "France Japan Kenya Peru Norway Egypt Canada Vietnam Poland Chile Brazil Germany Italy Spain "
    "India China Mexico Turkey Greece Sweden Finland Ireland Austria Hungary Portugal Morocco "
    "Nigeria Thailand Malaysia Indonesia Argentina Australia"
).split()
PATTERNS = (  # the subject first: prompts that begin alike would share their beginning
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
LOOP = 8  # the loop over single prompts takes one in so many, and its time is scaled up


def float32(folder: Path) -> Work:
    """The work in float32."""
    return _work(folder, torch.float32, "")


def bfloat16(folder: Path) -> Work:
    """The work in bfloat16."""
    return _work(folder, torch.bfloat16, "-bf16")


def _work(folder: Path, dtype: torch.dtype, suffix: str) -> Work:
    get = functools.cache(functools.partial(language_model.load, folder, device="cpu", dtype=dtype))
    own = functools.partial(peers.network, folder, dtype)
    batched = {  # peers that wrap a network of their own
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
        Versus(name, "transformer-lens", "ours", "transformer-lens", about=about),
        Versus(name, "nnsight", "ours", "nnsight", about=about),
        Versus(stop, "nnsight", "ours", "nnsight with stop", about=about),
        Versus(name, "transformers", "ours", "transformers", about=scaled),
    ]
    return Work(what, contenders, rows, memory=[c for c in contenders if c != "product"])


def readings(lm: LanguageModel) -> list[Reading]:
    """Return the prompts, tokenised, to be read at their last tokens."""
    return [extraction.reading(lm, prompt, (0, 1), "answer") for prompt in PROMPTS]


def ours(lm: LanguageModel) -> Run:
    """Return our run; tokenising is part of it for nobody."""
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
