"""Recall tables of the planted model, and scores made by hand: a fact's own neuron behind traps.

Every fact has one unit that answers it in all languages (`planted.py`), and each language has units
that fire on all of its prompts and write nothing: what an edit writes through them reaches every
fact of that language, and no other language. The scores put the language's two units before the
fact's: only together do the languages point to the unit of the fact.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

import planted
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import language_sets
from neuron_atlas.neurons.addresses import to_flat
from neuron_atlas.neurons.relation_sets import SETS, SIZE, RelationSets
from neuron_atlas.pipeline import store
from neuron_atlas.recall import answers
from neuron_atlas.wording import demonstrations

METHODS = ("attribution", "zero_ig", "gradient_activation", "activation")
N_SUBJECTS = 2  # attributed facts per relation
FILLER = tuple(f"decoy:0.{i}" for i in range(20))


def unit(*names: str) -> np.ndarray:
    """Return the flat indices of units."""
    return to_flat([planted.NEURONS[n] for n in names], planted.N_NEURONS)


def recalled(lm: LanguageModel, language: str) -> pd.DataFrame:
    """Return the recall table of one language."""
    asked = demonstrations.with_demonstrations(planted.fact_table(language), shots=0, seed=0)
    return answers.with_known(answers.score(lm, asked))


def facts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the facts that have scores: the first subjects of each relation."""
    distinct = table.drop_duplicates("fact").sort_values("fact")
    return distinct.groupby("relation").head(N_SUBJECTS)


def order(fact: str, language: str, method: str) -> np.ndarray:
    """Return a fact's neurons by one method; the baselines know only the language."""
    own, traps = [f"fact:{fact}"], [f"language:{language}:1", f"language:{language}:0"]
    names = [*traps, *own] if method == "attribution" else [*traps, *FILLER[:1]]
    return unit(*names, *(f for f in FILLER if f not in names))


def scores(table: pd.DataFrame, language: str, *, first: Sequence[str] = ()) -> pd.DataFrame:
    """Return stored scores; `first` are methods that put the fact's unit first."""
    parts = []
    for row in facts(table).to_dict("records"):
        for method in METHODS:
            for template in range(planted.N_PARAPHRASES):
                found = order(row["fact"], language, method)
                if method in first:
                    own = unit(f"fact:{row['fact']}")
                    found = np.concatenate([own, found[found != own]])
                n = len(found)
                parts.append(
                    pd.DataFrame(
                        {
                            "fact": row["fact"],
                            "relation": row["relation"],
                            "template": template,
                            "method": method,
                            "rank": np.arange(n, dtype=np.int32),
                            "neuron": found,
                            "score": np.linspace(1, 0.01, n, dtype=np.float32),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def source() -> RelationSets:
    """Return activation sizes that are all alike, so that random sets match in layer alone."""
    size = np.ones((planted.N_LAYERS, planted.N_NEURONS))
    return RelationSets({}, size, np.empty(0, dtype=np.int64))


def write(folder: Path, lm: LanguageModel) -> Path:
    """Write what all languages' editing needs.

    Folders: `recall`, `attributions`, `relation_neurons`, `facts_report`, `language_specific`.
    """
    for language in planted.LANGUAGES:
        table = recalled(lm, language)
        store.write_table(folder / f"recall/{language}.parquet", table)
        stored = scores(table, language)
        store.write_table(folder / f"attributions/{language}/scores.parquet", stored)
        meta = {"target": "log_probability"}
        store.write_json(folder / f"attributions/{language}/meta.json", meta)
        store.write_json(folder / f"facts_report/{language}.json", {"relations": {}})
        sets = folder / f"relation_neurons/{language}"
        columns = ["relation", "rank", "neuron"]
        store.write_table(sets / SETS, pd.DataFrame(columns=columns))
        size = torch.ones(planted.N_LAYERS, planted.N_NEURONS)
        save_file({"size": size, "banned": size == 0}, sets / SIZE)
    own = [(code, i) for code in planted.LANGUAGES for i in (0, 1)]
    neurons = [int(unit(f"language:{code}:{i}")[0]) for code, i in own]
    specific = pd.DataFrame(own, columns=["language", "rank"]).assign(neuron=neurons)
    store.write_table(folder / "language_specific" / language_sets.SETS, specific)
    return folder
