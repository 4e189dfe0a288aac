"""Each fact's neurons by each method: stored attributions, and the papers' thresholds on them."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Int64

from neuron_atlas.attributions import clean_pass, strongest
from neuron_atlas.attributions.clean_pass import Method
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.knowledge_sets import COLUMNS, SetsByFact
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.scoring.candidates import CandidateTokens
from published.knowledge.attributing import published_method
from published.knowledge.facts import Asked
from published.knowledge.plan import Plan

AMIG, ZERO, DAI, OURS = "amig", "zero_ig", "dai", "ours"
SHARED, FOREIGN, JOINT = "shared", "foreign", "joint"
FLOOR = 0.1  # share of a prompt's largest attribution above which all neurons are stored
KEPT = 50  # neurons stored per prompt at least
PART = 2  # prompts attributed at a time
KeyOf = Callable[[str], str]
Sets = Mapping[str, SetsByFact]  # by method


def scores(lm: LanguageModel, asked: Asked, plan: Plan, *, bags: bool, key: KeyOf) -> pd.DataFrame:
    """Return the strongest neurons of each prompt by each method, as `knowledge_sets.COLUMNS`.

    Args:
        lm: The model.
        asked: The prompts: `AMIG` takes the published ones, `OURS` all that select.
        plan: The steps.
        bags: Whether `ZERO` takes all paraphrases, too.
        key: Names the finished parts of some work; see `checkpoints.key`.
    """
    tokens = published_method(lm, start="tokens", steps=plan.steps)
    zero = published_method(lm, start="zero", steps=plan.zero_steps)
    work: dict[str, tuple[pd.DataFrame, Callable[[pd.DataFrame], pd.DataFrame]]] = {
        AMIG: (asked.published, partial(attribute, lm, name=AMIG, method=tokens)),
        ZERO: (
            asked.bags if bags else asked.published,
            partial(attribute, lm, name=ZERO, method=zero),
        ),
        OURS: (asked.bags, partial(_ours, lm, plan)),
    }
    tables = [
        checkpoints.in_parts(rows, run, key=key(f"{name} {asked.language}"), size=PART)
        for name, (rows, run) in work.items()
    ]
    return pd.concat(tables, ignore_index=True)


def attribute(lm: LanguageModel, rows: pd.DataFrame, *, name: str, method: Method) -> pd.DataFrame:
    """Attribute some prompts by one method and keep the strongest neurons of each."""
    listed, tokens = store.records(rows), CandidateTokens(lm)
    questions = [question_of(tokens, row) for row in listed]
    tables = []
    for found in clean_pass.run_methods(lm, questions, {name: method}):
        tables += [
            strongest.strongest_neurons(
                found[name].scores[k].flatten(), keep=KEPT, floor=FLOOR
            ).assign(method=name, **{c: listed[i][c] for c in ("fact", "relation", "template")})
            for k, i in enumerate(found[name].places.tolist())
        ]
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _ours(lm: LanguageModel, plan: Plan, rows: pd.DataFrame) -> pd.DataFrame:
    found = strongest.attribute(lm, rows.assign(checked=False), plan.ours, None)
    return found[found["method"] == "attribution"].assign(method=OURS)[COLUMNS]


def sets(stored: pd.DataFrame, asked: Asked, plan: Plan, *, tau: float, bags: bool) -> Sets:
    """Return each method's sets, best neuron first; a fact without neurons has none.

    `AMIG`: above tau times the largest on the one prompt (Chen et al., equations 6-7). `ZERO`: the
    same of zero-baseline attributions, which Chen et al. compare with. `DAI`: above 0.2 times the
    largest in 0.7 of the paraphrases (Dai et al., section 3.2). `OURS`: as many as `AMIG` has, the
    best over the paraphrases.
    """
    own = knowledge_sets.select(stored, method=AMIG, tau=tau, share=1.0)
    single = pd.MultiIndex.from_frame(asked.published[["fact", "template"]])
    alone = stored[pd.MultiIndex.from_frame(stored[["fact", "template"]]).isin(single)]
    graded = knowledge_sets.neurons_by_grade(stored, method=OURS)
    found = {
        AMIG: own,
        ZERO: knowledge_sets.select(alone, method=ZERO, tau=tau, share=1.0),
        OURS: {f: graded[f][: len(own[f])] for f in own if f in graded},
    }
    if bags:
        found[DAI] = knowledge_sets.select(
            stored, method=ZERO, tau=plan.dai_tau, share=plan.dai_share
        )
    return {method: _filled(of_facts) for method, of_facts in found.items()}


def with_languages(found: Mapping[str, Sets]) -> dict[str, dict[str, SetsByFact]]:
    """Add, to the sets of each of two languages, those that both make.

    `SHARED`: the intersection of both languages' `AMIG` (Chen et al., equation 8). `FOREIGN`: the
    other language's. `JOINT`: both together.
    """
    one, two = found
    added: dict[str, dict[str, SetsByFact]] = {}
    for own, other in ((one, two), (two, one)):
        mine, theirs = found[own][AMIG], found[other][AMIG]
        both = [fact for fact in mine if fact in theirs]
        added[own] = {
            **found[own],
            SHARED: _filled({f: _meet(found[one][AMIG][f], found[two][AMIG][f]) for f in both}),
            FOREIGN: {f: theirs[f] for f in both},
            JOINT: {f: np.union1d(mine[f], theirs[f]) for f in both},
        }
    return added


def _meet(a: Int64[np.ndarray, " _"], b: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """Return the members of both, in the order of the first."""
    return a[np.isin(a, b)]


def _filled(found: SetsByFact) -> SetsByFact:
    return {fact: chosen for fact, chosen in found.items() if len(chosen)}
