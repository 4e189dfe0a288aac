"""Sum up language-specific neurons: the summary's section, its verdict and its tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from neuron_atlas.knowledge_findings import specific_overlap
from neuron_atlas.knowledge_findings.specific_overlap import OtherSets
from neuron_atlas.language_specific import tables
from neuron_atlas.neurons.addresses import layer_histogram
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts.language_verdicts import (
    OTHERS,
    RANDOM,
    contrasts,
    language_specific_neurons_exist,
)
from neuron_atlas.verdicts.verdict import Finding, untestable

CLAIM = "language_specific_neurons_exist"
NAME = "language_specific"


def summarise(folder: Path, others: OtherSets, *, negligible: float) -> Finding:
    """Sum up the folder of the stage `language_specific`.

    Args:
        folder: What the stage wrote.
        others: Where the sets of other stages are, with which these overlap.
        negligible: Change of text's log-probability, nats per token, that does not matter.
    """
    about = store.read_json(folder / tables.META)
    sets = _by_language(store.read_table(folder / tables.SETS))
    shape = (about["n_layers"], about["n_neurons"])
    if "reason" in about:
        few = untestable(f"Nothing to switch off: {about['reason']}")
        return Finding(NAME, _about(about, sets), {CLAIM: few})
    texts = as_arms(store.read_table(folder / tables.TEXTS))
    answers = store.read_table(folder / tables.ANSWERS)
    verdict = language_specific_neurons_exist(own_rows(texts), negligible=negligible)
    languages = by_language(about, sets, texts, answers)
    summary = {
        **_about(about, sets),
        **_means(languages),
        "by_language": {str(row.pop("language")): _known(row) for row in store.records(languages)},
    }
    found = {
        "specific_languages": languages,
        "specific_effects": effects(texts, answers),
        "specific_layers": layers(sets, shape),
        "specific_overlap": specific_overlap.overlaps(sets, others, shape),
    }
    return Finding(NAME, summary, {CLAIM: verdict}, found)


def as_arms(texts: pd.DataFrame) -> pd.DataFrame:
    """Return measured texts in the columns of `verdicts.arms`; an item is a text."""
    return texts.assign(measured=texts["language"]).rename(columns={"text": "fact"})


def own_rows(texts: pd.DataFrame) -> pd.DataFrame:
    """Leave out the whole sets of other languages, which push as hard as they do."""
    foreign = texts["kind"].eq(tables.SET) & texts["source"].ne(texts["language"])
    return texts[~foreign]


def by_language(
    about: Mapping[str, Any],
    sets: Mapping[str, Int[np.ndarray, " _"]],
    texts: pd.DataFrame,
    answers: pd.DataFrame,
) -> pd.DataFrame:
    """Return one row per language: its neurons, and what its texts and answers lose.

    Returns:
        `n_neurons`, `n_tokens` (that found them); `own`, `random` and `beyond_random`,
        `beyond_others` of texts, nats per token; `answer` and `answer_random`, nats; of the facts
        whose best label was the language's own, and has others, `n_labelled` and the shares
        `switched` and `switched_random` of which the best one then was another language's. NaN
        where nothing was measured.
    """
    found = contrasts(own_rows(texts))
    beyond = {name: one.items.groupby("measured")["excess"].mean() for name, one in found.items()}
    rows = [
        {
            "language": code,
            "n_neurons": len(sets.get(code, ())),
            "n_tokens": n_tokens,
            **_own(texts[texts["language"] == code], code, ("own", "random"), "effect"),
            "beyond_random": beyond[RANDOM].get(code, np.nan),
            "beyond_others": beyond[OTHERS].get(code, np.nan),
            **_of_answers(answers[answers["language"] == code], code),
        }
        for code, n_tokens in about["n_tokens"].items()
    ]
    return pd.DataFrame(rows)


def _own(rows: pd.DataFrame, code: str, names: tuple[str, str], value: str) -> dict[str, float]:
    """Return the mean of a value without the language's own neurons, and without random ones."""
    own = rows[rows["kind"].eq(tables.SET) & rows["source"].eq(code)]
    drawn = arms.of_kind(rows, tables.MATCHED)
    return {
        name: float(part[value].mean()) if len(part) else float("nan")
        for name, part in zip(names, (own, drawn), strict=True)
    }


def _of_answers(rows: pd.DataFrame, code: str) -> dict[str, Any]:
    labelled = switchable(rows)
    return {
        **_own(rows, code, ("answer", "answer_random"), "effect"),
        "n_labelled": int(labelled["fact"].nunique()),
        **_own(labelled, code, ("switched", "switched_random"), "switched"),
    }


def switchable(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on which the best label can leave its language, with `switched`.

    The fact's answer has another label in some other language, and without intervention the best
    of all labels is the own one.
    """
    kept = answers[answers["n_labels"].gt(1) & answers["own_before"].astype(bool)]
    return kept.assign(switched=~kept["own_after"].astype(bool))


def effects(texts: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Return what each language's neurons do in each language.

    Returns:
        One row per `source` (whose neurons) and `language` (whose texts): `effect` of texts, nats
        per token, `push`, `n_texts`, `answer`, nats, and `switched`, the share of answers whose
        best label left the language.
    """
    keys = ["source", "language"]
    sets = arms.of_kind(texts, tables.SET).groupby(keys)
    found = sets.agg(effect=("effect", "mean"), push=("push", "mean"), n_texts=("fact", "size"))
    own = arms.of_kind(answers, tables.SET)
    answer = own.groupby(keys)["effect"].mean().rename("answer")
    switched = switchable(own).groupby(keys)["switched"].mean()
    return found.join(answer).join(switched).reset_index()


def layers(sets: Mapping[str, Int[np.ndarray, " _"]], shape: tuple[int, int]) -> pd.DataFrame:
    """Return how many neurons each language has in each layer."""
    rows = [
        {"language": code, "layer": layer, "neurons": int(n)}
        for code, own in sets.items()
        for layer, n in enumerate(layer_histogram(own, n_layers=shape[0], n_neurons=shape[1]))
    ]
    return pd.DataFrame(rows, columns=["language", "layer", "neurons"])


def _by_language(rows: pd.DataFrame) -> dict[str, Int[np.ndarray, " _"]]:
    parts = rows.groupby("language", sort=False)
    return {str(code): own["neuron"].to_numpy(np.int64) for code, own in parts}


def _about(about: Mapping[str, Any], sets: Mapping[str, Int[np.ndarray, " _"]]) -> dict[str, Any]:
    every = np.concatenate([np.empty(0, dtype=np.int64), *sets.values()])
    names = ("texts", "measured", "left_out", "threshold", "reason")
    return {
        **{name: about[name] for name in names if name in about},
        "n_languages": len(about["n_tokens"]),
        "n_neurons": len(np.unique(every)),
        "n_in_several": len(every) - len(np.unique(every)),
    }


def _means(languages: pd.DataFrame) -> dict[str, Any]:
    """Return the means over languages of what was measured; shares over all their facts."""
    names = ("own", "random", "beyond_random", "beyond_others", "answer", "answer_random")
    found = {name: float(languages[name].mean()) for name in names}
    n = languages["n_labelled"].sum()
    for name in ("switched", "switched_random"):
        total = (languages[name] * languages["n_labelled"]).sum()
        found[name] = float(total / n) if n else float("nan")
    return {"n_labelled": int(n), **_known(found)}


def _known(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was not measured."""
    return {name: value for name, value in numbers.items() if np.isfinite(value)}
