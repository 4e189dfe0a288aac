"""What the stage `cards` reads, made by the library itself on the planted model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted
import planted_scores
from few_controls import FEW
from neuron_atlas.activations import extraction
from neuron_atlas.activations.files import Recorded
from neuron_atlas.cards import build
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.cards.settings import CardPlan
from neuron_atlas.language_neurons.build import SETS
from neuron_atlas.language_neurons.relations import RELATIONS
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.language_specific.tables import MEMBERS
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pipeline import store
from neuron_atlas.relation_neurons import build as sets_build
from neuron_atlas.relation_neurons import casting
from neuron_atlas.relation_neurons.settings import SetPlan
from neuron_atlas.scoring import prompt_choice

LANGUAGES = planted.LANGUAGES[:2]
SETS_PLAN = SetPlan(
    k=planted.M,
    templates="min",
    min_facts=4,
    min_positives=3,
    massive=20.0,
    exclude_massive=False,
    n_chimeras=19,
    n_draws=2,
)
PLAN = CardPlan(
    tokens=4,
    tokens_per_script=2,
    tokens_counted=10,
    prompts=2,
    partners=3,
    effect_facts=2,
    n_draws=99,
)
RULE = SharingRule(k=3, share=0.6, min_languages=2, n_permutations=19, n_draws=1)
OFF = FEW.model_copy(update={"value": "zero"})
HOW = build.Settings(PLAN, SETS_PLAN, RULE, OFF, tolerance=0.0, seed=0)


def recorded(lm: LanguageModel, folder: Path, languages: Sequence[str]) -> dict[str, Recorded]:
    """Ask the model, and record its values; the facts of each are its recall table."""
    found = {}
    for code in languages:
        table = planted_scores.recalled(lm, code)
        prompts, out = prompt_choice.answered_prompts(table), folder / "activations" / code
        extraction.save(
            lm, prompts, out, site="hidden", pooling="answer", place=folder / "work" / code
        )
        found[code] = Recorded(out, table)
    return found


def relations(values: Mapping[str, Recorded], folder: Path) -> Path:
    """Find the relation neurons."""
    keys = {code: f"relation_neurons {code}-" for code in values}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where scores are kept
        given = casting.languages(values, {}, SETS_PLAN, seed=0)
        sets_build.build(given, folder / "sets", SETS_PLAN, seed=0, keys=keys)
    return folder / "sets"


def attributed(recalled: pd.DataFrame) -> pd.DataFrame:
    """Return scores that give each fact its own unit, then its relation's first two."""
    facts = planted_scores.facts(recalled)
    rows = [
        (fact, relation, template, "attribution", rank, neuron, 1.0 - rank / 4)
        for fact, relation in zip(facts["fact"], facts["relation"], strict=True)
        for template in range(planted.N_PARAPHRASES - 1)
        for rank, neuron in enumerate(own_units(fact, relation).tolist())
    ]
    return pd.DataFrame(rows, columns=knowledge_sets.COLUMNS)


def own_units(fact: str, relation: str) -> np.ndarray:
    """The fact's unit, and its relation's first and second."""
    return planted_scores.unit(f"fact:{fact}", f"first:{relation}", f"second:{relation}")


def inputs(lm: LanguageModel, folder: Path, languages: Sequence[str] = LANGUAGES) -> Inputs:
    """Return all that the stage reads; facts' sets are made up, those of relations are found."""
    values = recorded(lm, folder, languages)
    sets = relations(values, folder)
    tables = {code: one.facts for code, one in values.items()}
    names = [*languages, POOLED]
    found = [store.read_table(sets / name / "sets.parquet") for name in names]
    nothing = pd.DataFrame({"kind": [], "degenerate": [], "fact": [], "members": []})
    return Inputs(
        recalled=tables,
        values=values,
        relation_table=pd.concat(found, ignore_index=True),
        relation_sets={name: relation_sets.read_sets(sets / name) for name in names},
        attributed={code: attributed(table) for code, table in tables.items()},
        independent=pd.DataFrame(columns=SETS),
        independent_relations=pd.DataFrame(columns=RELATIONS),
        specific=store.no_rows(MEMBERS),
        degenerate=dict.fromkeys(languages, nothing.assign(relation=[], surplus=[])),
        pairs=dict.fromkeys(languages, pairs([])),
        ablated=dict.fromkeys(languages, ablated([])),
        target="candidates",
    )


def pairs(rows: Sequence[tuple[str, str, int, int, float, float, float]]) -> pd.DataFrame:
    """Return pairs of stand-ins: fact, relation, both neurons, both drops, interaction."""
    names = ["fact", "relation", "a", "b", "drop_a", "drop_b", "log_odds_interaction"]
    return pd.DataFrame(rows, columns=names).assign(kind="own")


def ablated(rows: Sequence[tuple[str, str, str, str, int, float]]) -> pd.DataFrame:
    """Return measurements: fact, relation, quantity, name, neuron, value."""
    return pd.DataFrame(rows, columns=["fact", "relation", "quantity", "name", "item", "value"])
