"""How fast a device extracts and attributes, as a share of its peak; seconds of a run by stage.

`python benchmarks/gpu.py out.json` measures a random llama of 7B in bfloat16 on the GPU; `--shape
tiny --device cpu` shows within seconds that the script works. `--times .work` adds the seconds that
each stage of the last run took on this machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as tr

import flops
from neuron_atlas.activations import extraction
from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.quadrature import midpoint
from neuron_atlas.attributions.questions import Question
from neuron_atlas.devices import choice
from neuron_atlas.model import kernels
from neuron_atlas.model.architectures import ARCHITECTURES
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import stage_times
from shapes import word_tokenizer

ROUNDS = 3  # the first of which is not counted


@dataclass(frozen=True)
class Scale:
    """What is measured on a model of one shape.

    Attributes:
        config: The model's shape.
        n_prompts: Prompts of `n_tokens` tokens that are extracted; as many as a language has.
        n_questions: Questions that are attributed, with `n_nodes` evaluations per layer each.
        product: Rows and columns of the matrices whose product is the peak.
    """

    config: dict[str, Any]
    n_prompts: int
    n_questions: int
    n_tokens: int
    n_nodes: int
    product: int


SCALES = {
    "7b": Scale(
        {
            "vocab_size": 32000,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
        },
        n_prompts=4096,
        n_questions=32,
        n_tokens=24,
        n_nodes=8,
        product=8192,
    ),
    "tiny": Scale(
        {
            "vocab_size": 64,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        },
        n_prompts=8,
        n_questions=2,
        n_tokens=6,
        n_nodes=2,
        product=64,
    ),
}


def random_llama(scale: Scale, device: str) -> LanguageModel:
    """Make a llama of the shape in bfloat16, on the device."""
    auto: Any = tr.AutoModelForCausalLM
    config = tr.LlamaConfig(**scale.config)
    with torch.random.fork_rng(), torch.device(device):
        torch.default_generator.manual_seed(0)
        network = auto.from_config(config, dtype=torch.bfloat16)
    network.eval().requires_grad_(False)
    kernels.choose_matrix_products()
    kernels.choose_attention(network)
    words = word_tokenizer(config.vocab_size, encoder=False)
    return LanguageModel(network, words, ARCHITECTURES["llama"])


def seconds(work: Callable[[], object], device: str) -> float:
    """Return how long some work takes, the shortest of some rounds."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return min(found[1:])


def peak(scale: Scale, device: str) -> float:
    """Return the FLOP/s of products of two large matrices in bfloat16."""
    n = scale.product
    a, b = (torch.ones(n, n, dtype=torch.bfloat16, device=device) for _ in range(2))
    return 2 * n**3 / seconds(lambda: torch.mm(a, b), device)


def prompt(i: int, n_tokens: int, vocabulary: int) -> str:
    """Return one of many different prompts of as many tokens."""
    return " ".join(f"w{4 + (i * 7919 + j * 104729) % (vocabulary - 4)}" for j in range(n_tokens))


def extracted(lm: LanguageModel, scale: Scale, device: str, most: float) -> dict[str, Any]:
    """Measure extraction."""
    texts = [prompt(i, scale.n_tokens, scale.config["vocab_size"]) for i in range(scale.n_prompts)]
    asked = [extraction.reading(lm, text, (0, 1), "answer") for text in texts]
    took = seconds(lambda: [None for _ in extraction.extract(lm, asked)], device)
    needed = flops.extraction(lm, [len(reading.ids) for reading in asked])
    return {
        "prompts_per_s": round(len(asked) / took, 1),
        "share_of_peak": round(needed / took / most, 4),
    }


def attributed(lm: LanguageModel, scale: Scale, device: str, most: float) -> dict[str, Any]:
    """Measure integrated gradients; a row is one evaluation in one layer."""
    asked = [
        Question(prompt(i, scale.n_tokens, scale.config["vocab_size"]), (5,))
        for i in range(scale.n_questions)
    ]

    def work() -> None:
        for _ in gradients.integrated_gradients(
            lm,
            asked,
            baseline="zero",
            rule=midpoint(scale.n_nodes),
            target="log_probability",
            check=False,
        ):
            pass

    took = seconds(work, device)
    rows = len(asked) * lm.n_layers * scale.n_nodes
    needed = len(asked) * flops.attribution(lm, scale.n_tokens, scale.n_nodes)
    return {"rows_per_s": round(rows / took, 1), "share_of_peak": round(needed / took / most, 4)}


def measured(shape: str, device: str) -> dict[str, Any]:
    """Measure one shape on one device."""
    scale = SCALES[shape]
    lm = random_llama(scale, device)
    most = peak(scale, device)
    cuda = torch.device(device).type == "cuda"
    return {
        "shape": shape,
        "dtype": "bfloat16",
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "torch": torch.__version__,
        "peak_tflops": round(most / 1e12, 3),
        "extraction": extracted(lm, scale, device, most),
        "attribution": attributed(lm, scale, device, most),
        "largest_memory_gb": round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
        if cuda
        else None,
    }


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=sorted(SCALES), default="7b")
    parser.add_argument("--device", default=None, help="by default the GPU")
    parser.add_argument("--times", type=Path, help="the folder of a run's times: .work")
    asked = parser.parse_args()
    device = choice.chosen(asked.device)
    if device != "cpu":
        kernels.choose_deterministic()
    found = measured(asked.shape, device)
    if asked.times is not None:
        found["stages_s"] = stage_times.recorded(asked.times)
    asked.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
