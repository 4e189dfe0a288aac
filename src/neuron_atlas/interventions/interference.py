"""What switching neurons off does to every relation's held-out facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuron_atlas.activations import files
from neuron_atlas.interventions.arms import Arm, describe
from neuron_atlas.interventions.settings import Interference, Value
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.scoring import ablation, prompt_choice
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.log_probability import Answers
from neuron_atlas.scoring.packing import UNEDITED
from neuron_atlas.scoring.trees import query


@dataclass(frozen=True)
class LanguageWork:
    """Where one language's recorded values are, and how its measurements are resumed.

    Attributes:
        values: Folder of the recorded activations; replacement values are their means.
        key: Names the finished parts on disk; see `checkpoints.key`.
        size: Facts per group; see `checkpoints.in_parts`.
    """

    values: Path
    key: str
    size: int


EFFECT_COLUMNS = {
    **dict.fromkeys(("kind", "source", "relation", "order", "fact", "measured"), "str"),
    **dict.fromkeys(("k", "draw", "template"), "int64"),
    **dict.fromkeys(("effect", "audited_error"), "float32"),
    **dict.fromkeys(("correct_before", "correct_after"), "bool"),
}


def replacement_values(
    folder: Path, relations: Sequence[str], how: Value
) -> Float[Tensor, "kind layer neuron"]:
    """Return the values that switched-off neurons take.

    `zero` is Liu et al.'s (2025, section 3.2). `mean` is the language's mean over relations, and
    `other_mean` the mean over the other relations, one table for each of `relations`; the neuron
    does take such values. Means are over the identification half's correctly answered prompts,
    at the positions that the activations were pooled from. The answer's tokens after the first get
    the same values.

    Raises:
        ValueError: no identification prompt was answered right, or there is no other relation.
    """
    index = files.read_index(folder)
    used = index[index["correct"] & (index["split"] == "identification")]
    names = sorted(used["relation"].unique())
    if not names:
        raise ValueError(f"{folder} has no right prompt of an identification subject to average")
    layers = []
    for layer in range(int(files.read_meta(folder)["n_layers"])):
        values = files.read_layer(folder, layer)
        rows = [used.index[used["relation"] == name].to_numpy(copy=True) for name in names]
        layers.append(torch.stack([values[r].float().mean(0) for r in rows]))
    means = torch.stack(layers, 1)
    if how == "zero":
        return torch.zeros_like(means[:1])
    if how == "mean" or not relations:
        return means.mean(0, keepdim=True)
    others = [[i for i, name in enumerate(names) if name != relation] for relation in relations]
    if not all(others):
        raise ValueError(f"{folder} knows {names} alone: no mean over other relations; use mean")
    return torch.stack([means[keep].mean(0) for keep in others])


def switched_off(
    lm: LanguageModel,
    arms: Sequence[Arm],
    value: Float[Tensor, "kind layer neuron"],
    *,
    site: Site,
    everywhere: bool,
    tolerance: float = 0.0,
) -> Intervention:
    """Prepare the arms; with several replacement tables, each relation's arms use its own table."""
    relations = sorted({arm.relation for arm in arms})
    kind = [relations.index(arm.relation) if len(value) > 1 else 0 for arm in arms]
    edits = ablation.edits_of([arm.neurons for arm in arms], value, kind)
    return Intervention(lm, edits, site=site, everywhere=everywhere, tolerance=tolerance)


def measure_held_out(
    lm: LanguageModel,
    arms: Sequence[Arm],
    recalled: pd.DataFrame,
    how: Interference,
    work: LanguageWork,
    *,
    tolerance: float,
) -> pd.DataFrame:
    """Ask one language's held-out facts with each arm's neurons switched off.

    Args:
        lm: The model.
        arms: Sets to switch off, and on whose facts.
        recalled: The language's recall table.
        how: What neurons are set to, where, and on how many facts.
        work: The language's recorded values, and how its measurements are resumed.
        tolerance: As in `log_probability.ask`.

    Returns:
        The rows of `measure_arms`.
    """
    facts = prompt_choice.held_out(recalled, max_facts=how.max_facts, seed=how.seed)
    value = replacement_values(work.values, sorted({arm.relation for arm in arms}), how.value)
    intervention = switched_off(
        lm,
        arms,
        value,
        site=files.read_meta(work.values)["site"],
        everywhere=how.everywhere,
        tolerance=tolerance,
    )
    tokens = CandidateTokens(lm)
    return checkpoints.in_parts(
        facts,
        lambda part: measure_arms(intervention, arms, part, tokens),
        key=work.key,
        size=work.size,
    )


@dataclass(frozen=True)
class AskedFact:
    """One fact's prompt, with its tokenised candidates.

    Attributes:
        target: The correct answer that is most probable without intervention.
    """

    prompt: str
    relation: str
    candidates: tuple[Text, ...]
    right: Bool[np.ndarray, " candidate"]
    target: int


def asked_fact(tokens: CandidateTokens, row: Mapping[str, Any]) -> AskedFact:
    """Tokenise the candidates of one row of the recall table."""
    prompt, labels = row["prompt"], row["candidate_labels"]
    right = np.isin(row["candidates"], row["objects"])
    texts = tokens.answers(prompt, row["separator"], labels)
    return AskedFact(prompt, row["relation"], tuple(texts), right, asked_for(row))


def measure_arms(
    intervention: Intervention, arms: Sequence[Arm], rows: pd.DataFrame, tokens: CandidateTokens
) -> pd.DataFrame:
    """Measure every arm on every fact that it is meant for.

    Args:
        intervention: As `switched_off` returns it.
        arms: The arms that it was prepared with.
        rows: Facts to ask, rows of the recall table.
        tokens: The tokenised candidates.

    Returns:
        One row per (fact, arm): `effect` (change of the target answer's log-probability, nats;
        negative is harm), whether the typed prediction was right before and is right after, and
        `audited_error`, the error of the arm's normalisers, nats, NaN where none was audited.
    """
    if not arms or rows.empty:
        return no_effects()
    items = [asked_fact(tokens, row) for row in store.records(rows)]
    concerned = [[UNEDITED, *_concerning(arms, it.relation)] for it in items]
    first = _first_pass(intervention, items, concerned)
    right = _judge(intervention, items, concerned, [found.values for found in first])
    info = describe(arms)
    tables = []
    for i, (row, chosen) in enumerate(zip(store.records(rows), concerned, strict=True)):
        target = first[i].values[:, items[i].target]
        part = info.iloc[chosen[1:]].reset_index(drop=True)
        tables.append(
            part.assign(
                fact=row["fact"],
                measured=row["relation"],
                template=row["template"],
                effect=(target[1:] - target[0]).astype(np.float32),
                audited_error=first[i].error[1:].astype(np.float32),
                correct_before=bool(right[i][0]),
                correct_after=right[i][1:],
            )
        )
    return pd.concat(tables, ignore_index=True)


def _concerning(arms: Sequence[Arm], relation: str) -> list[int]:
    """Return the indices of the arms that are measured on this relation's facts."""
    return [i for i, arm in enumerate(arms) if arm.everywhere or arm.relation == relation]


def no_effects() -> pd.DataFrame:
    """Return an empty table with the columns and types of `measure_arms`."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EFFECT_COLUMNS.items()})


def _judge(
    intervention: Intervention,
    items: Sequence[AskedFact],
    arms: Sequence[Sequence[int]],
    first: Sequence[Float[np.ndarray, "_ _"]],
) -> list[Bool[np.ndarray, "_"]]:
    """Return, by item, the typed correctness under each arm.

    A wrong candidate's first token costs nothing and bounds its log-probability from above. Only
    candidates whose bound reaches the best correct answer are scored whole; the result is exact.
    """
    encoder = intervention.lm.architecture.encoder
    right, open_items, open_arms, doubt = [], [], [], []
    for it, values in zip(items, first, strict=True):
        best = values[:, it.right].max(1)
        above = values >= best[:, None]
        above[:, it.right] = False
        single = np.array([encoder or len(c) == 1 for c in it.candidates])
        right.append(~above[:, single].any(1))
        unsure = np.flatnonzero((above & ~single).any(1) & right[-1])
        if len(unsure):
            open_items.append(len(right) - 1)
            open_arms.append(unsure)
            doubt.append((np.flatnonzero((above & ~single)[unsure].any(0)), best[unsure]))
    queries = [
        query(intervention.lm, items[i].prompt, [items[i].candidates[c] for c in wrong])
        for i, (wrong, _) in zip(open_items, doubt, strict=True)
    ]
    named = [[arms[i][int(a)] for a in some] for i, some in zip(open_items, open_arms, strict=True)]
    for i, some, (_, best), found in zip(
        open_items, open_arms, doubt, intervention.ask(queries, named), strict=True
    ):
        right[i][some] = ~(found.values >= best[:, None]).any(1)
    return right


def _first_pass(
    intervention: Intervention, items: Sequence[AskedFact], arms: Sequence[Sequence[int]]
) -> list[Answers]:
    """Score correct answers whole and the others by their first token.

    An encoder has other masks for each length of answer, so a first token bounds nothing: there all
    candidates are scored whole.
    """
    if intervention.lm.architecture.encoder:
        return intervention.ask(
            [query(intervention.lm, it.prompt, it.candidates) for it in items], arms
        )
    asked = [
        tuple(c if ok else c[:1] for c, ok in zip(it.candidates, it.right, strict=True))
        for it in items
    ]
    queries = [
        query(intervention.lm, it.prompt, texts) for it, texts in zip(items, asked, strict=True)
    ]
    return intervention.ask(queries, arms)
