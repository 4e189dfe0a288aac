"""Public names that load: a model, and the built-in facts."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

from neuron_atlas.api.arguments import as_texts
from neuron_atlas.builtin_facts import builtin
from neuron_atlas.builtin_facts.relations import DEFAULT
from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.facts import fact_table
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import params
from neuron_atlas.wording import templates

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    folder: str | Path, *, device: str | None = None, dtype: Precision | None = None
) -> LanguageModel:
    """Load a model and its tokenizer from a folder; nothing is downloaded and no code in it runs.

    Also settles how this process multiplies matrices, as the pipeline does (see `kernels`).

    Args:
        folder: What the stage `model` wrote, or any folder with `config.json`, `tokenizer.json` and
            safetensors of a supported family; `path:` may stand before it, as in params.yaml.
        device: Such as `cpu` or `cuda:1`; `auto` is the GPU if there is one, and `spread` uses all
            devices. By default what NEURON_ATLAS_DEVICE says, else `auto`.
        dtype: Of weights and products; by default that in which the weights were stored.

    Returns:
        The model, frozen. `network` is the transformers model, `tokenizer` its tokenizer.

    Raises:
        ValueError: it is no such folder, the family or the precision is unknown, or the device is
            not there or too small.
    """
    path = Path(str(folder).removeprefix("path:"))
    missing = [n for n in ("config.json", "tokenizer.json") if not (path / n).is_file()]
    missing += [] if any(path.glob("*.safetensors")) else ["*.safetensors"]
    if missing:
        raise ValueError(
            f"expected a model's folder, got {str(path)!r} without {', '.join(missing)}; "
            "`dvc repro model` or `dvc pull model` makes data/model"
        )
    if dtype is not None and dtype not in PRECISIONS:
        raise ValueError(f"dtype must be one of {list(PRECISIONS)}, got {dtype!r}")
    precision = None if dtype is None else PRECISIONS[dtype]
    return language_model.load(path, device=device, dtype=precision)


def built_in_facts(
    language: str = "en",
    relations: Iterable[str] | None = None,
    *,
    max_per_relation: int | None = 32,
    max_candidates: int = 32,
    max_majority_share: float = 0.25,
    paraphrases: int = 4,
    development_share: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Return facts from CLDR and GeoNames with prompts in one language; no file is read.

    By default the table that the stage `facts` makes of this language with params.yaml as it comes.

    Args:
        language: Code of a language that has templates, such as `en`.
        relations: Names, such as `capital`; None takes the twelve of params.yaml.
        max_per_relation: Facts, those of the most prominent subjects; None keeps all.
        max_candidates: Largest number of possible answers per relation.
        max_majority_share: Share, in (0, 1], of a relation's facts that may have the same answer.
        paraphrases: Templates per relation.
        development_share: Share of the subjects for demonstrations, in [0, 1).
        seed: Of the split.

    Returns:
        One row per fact and paraphrase: `relation`, `subject_label`, `prompt`, `separator` (what
        stands between prompt and answer), `answer`, `candidate_labels`, `split` and others.

    Raises:
        ValueError: a language or a relation is unknown, or it has fewer paraphrases.
    """
    limits = {
        "max_per_relation": max_per_relation,
        "max_candidates": max_candidates,
        "max_majority_share": max_majority_share,
    }
    texts = templates.load(language)
    found, _ = builtin.build(
        language,
        DEFAULT if relations is None else as_texts(relations, "relations", one=False),
        limits=params.checked("built_in_facts", Limits, limits),
        development_share=development_share,
        seed=seed,
    )
    return fact_table.build(found, texts.first(paraphrases), separator=texts.separator)
