"""Suppress and enhance each fact's sets and their controls, on the prompts that compare them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from neuron_atlas.arms.controls import equal_pushes
from neuron_atlas.arms.push import CleanValues
from neuron_atlas.interventions.suppress_enhance import OPERATIONS, SCALES
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.scoring import ablation, prompt_choice
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.trees import Query, query
from published.knowledge.facts import Prompt
from published.knowledge.ground import Ground
from published.knowledge.sets import DAI, FOREIGN, JOINT, KeyOf

SET, SIZE, PUSH, OTHER, SIBLING = "set", "size", "push", "other", "sibling"
EQUAL = (PUSH, OTHER, SIBLING)  # scaled to the push of the set that they control
RELATED, ANY, UNRELATED, HELD_OUT = "related", "any", "unrelated", "held_out"
BAG, OTHER_BAG = "bag", "other_bag"
ALONE = (FOREIGN, JOINT)  # compared with other sets, and without controls of their own
PART = 4  # prompts measured at a time


@dataclass(frozen=True)
class Arm:
    """A set or a control of it, and where it is measured.

    Attributes:
        fact: Whose set it is, or is a control of.
        method: How the set was chosen.
        control: Which control, or `SET`.
        draw: Number of the draw; -1 if nothing is drawn.
        neurons: Flat indices.
        where: What the prompt is to the fact.
    """

    fact: str
    method: str
    control: str
    draw: int
    neurons: Int[np.ndarray, "_"]
    where: str = RELATED


def with_controls(ground: Ground, fact: str, method: str) -> Iterator[Arm]:
    """Yield a fact's set by a method, then its controls."""
    own = Arm(fact, method, SET, -1, ground.sets[method][fact])
    yield own
    if method in ALONE:
        return
    alike = {SIZE: ground.size, PUSH: ground.strength(fact)}
    for control, strength in alike.items():
        drawn = ground.matched(own.neurons, strength, control, method, fact)
        for draw, neurons in enumerate(drawn):
            yield replace(own, control=control, draw=draw, neurons=neurons)
    relations = ground.asked.relations
    for control, same in ((OTHER, False), (SIBLING, True)):
        names = [
            other
            for other in ground.sets[method]
            if other != fact and (relations[other] == relations[fact]) is same
        ]
        order = ground.stream(control, method, fact).permutation(len(names))
        for draw, i in enumerate(order[: ground.plan.others].tolist()):
            yield replace(own, control=control, draw=draw, neurons=ground.sets[method][names[i]])


def planned(ground: Ground) -> dict[Prompt, list[Arm]]:
    """Return what is measured on each prompt.

    Sets and controls on the fact's own prompt and on the held-out paraphrase; the sets alone on any
    other fact's prompt, as in Chen et al., on that of an unrelated fact, and, those of Dai et al.,
    on all paraphrases of both.
    """
    found: dict[Prompt, list[Arm]] = defaultdict(list)
    held_out = {f: (f, t) for f, t in ground.asked.templates(ground.asked.held_out, ground.facts)}
    for fact, prompt in ground.own_prompt.items():
        far = _unrelated(ground, fact)
        for method in ground.sets:
            if fact not in ground.sets[method]:
                continue
            arms = list(with_controls(ground, fact, method))
            found[prompt] += arms
            if fact in held_out:
                found[held_out[fact]] += [replace(a, where=HELD_OUT) for a in arms]
            found[ground.own_prompt[_any(ground, fact)]].append(replace(arms[0], where=ANY))
            found[ground.own_prompt[far]].append(replace(arms[0], where=UNRELATED))
            if method == DAI:
                for where, name in ((BAG, fact), (OTHER_BAG, far)):
                    for one in ground.asked.templates(ground.asked.bags, [name]):
                        found[one].append(replace(arms[0], where=where))
    return dict(found)


def _any(ground: Ground, fact: str) -> str:
    others = [other for other in ground.own_prompt if other != fact]
    return others[int(ground.stream("any", fact).integers(len(others)))]


def _unrelated(ground: Ground, fact: str) -> str:
    row = ground.prompts[ground.own_prompt[fact]]
    rng = ground.stream("unrelated", fact)
    return prompt_choice.unrelated(ground.asked.published, row, n=1, rng=rng)[0]


def measure(ground: Ground, *, key: KeyOf) -> pd.DataFrame:
    """Measure all arms; one row per arm, operation and prompt.

    Returns:
        `method`, `control`, `draw`, `fact`, `where`, `k`, `template`, `operation`, `before`
        (log-probability of the answer, nats), `effect` (its change; negative is harm), `push` (norm
        of what is added to the residual stream).
    """
    arms = planned(ground)
    rows = ground.asked.everything
    asked = [(str(f), int(t)) in arms for f, t in zip(rows["fact"], rows["template"], strict=True)]

    def run(part: pd.DataFrame) -> pd.DataFrame:
        prompts = zip(part["fact"], part["template"], strict=True)
        return pd.concat([_of_prompt(ground, p, arms[p]) for p in prompts], ignore_index=True)

    name = f"arms {ground.asked.language}"
    return checkpoints.in_parts(rows[asked], run, key=key(name), size=PART)


def _of_prompt(ground: Ground, prompt: Prompt, arms: Sequence[Arm]) -> pd.DataFrame:
    tokens, row = CandidateTokens(ground.lm), ground.prompts[prompt]
    one = query(ground.lm, row["prompt"], [tokens.candidate(row, asked_for(row))])
    clean = CleanValues(ground.writing, ground.values[prompt][None])
    info = [(a.method, a.control, a.draw, a.fact, a.where, len(a.neurons)) for a in arms]
    names = ["method", "control", "draw", "fact", "where", "k"]
    table = pd.DataFrame(info, columns=names)
    both = table.loc[table.index.repeat(len(OPERATIONS))].reset_index(drop=True)
    found = operate(ground.lm, one, clean, arms, tolerance=ground.plan.tolerance)
    return both.assign(template=prompt[1], operation=list(OPERATIONS) * len(arms), **found)


def operate(
    lm: LanguageModel, one: Query, clean: CleanValues, arms: Sequence[Arm], *, tolerance: float
) -> dict[str, Float[np.ndarray, " arm"]]:
    """Suppress and enhance each arm's neurons on one prompt, some at the push of another arm.

    The operations are those of `suppress_enhance.both_operations`; a control of equal push goes so
    far towards 0, or away from it, that the residual stream is moved as far as by the set.

    Returns:
        `before`, `effect` and `push`, for each arm suppressed and then enhanced.
    """
    value = torch.zeros(len(OPERATIONS), lm.n_layers, lm.n_neurons)
    chosen = [a.neurons for a in arms for _ in OPERATIONS]
    kinds = list(range(len(OPERATIONS))) * len(arms)
    prepared = ablation.edits_of(chosen, value, kinds, scale=SCALES)
    gains, pushes = equal_pushes(prepared, clean, _models(arms))
    edits = replace(prepared, gain=torch.from_numpy(gains[:, 0]).float())
    intervention = Intervention(lm, edits, tolerance=tolerance)
    answers = intervention.ask_beside_clean([one], [range(len(chosen))])[0].values[:, 0]
    return {
        "before": np.repeat(answers[0], len(chosen)),
        "effect": answers[1:] - answers[0],
        "push": pushes[:, 0],
    }


def _models(arms: Sequence[Arm]) -> dict[int, list[int]]:
    """Return which edits have another one's push: each arm's, suppressed and then enhanced."""
    n = len(OPERATIONS)
    place = {(a.fact, a.method, a.where): i for i, a in enumerate(arms) if a.control == SET}
    return {
        n * i + o: [n * place[a.fact, a.method, a.where] + o]
        for i, a in enumerate(arms)
        if a.control in EQUAL
        for o in range(n)
    }
