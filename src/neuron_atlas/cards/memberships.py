"""In which sets each neuron is: of relations, facts, languages, and of stand-ins."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from neuron_atlas.cards import tables
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.knowledge_sets import SetsByFact
from neuron_atlas.neurons.relation_sets import POOLED

METHOD = "attribution"  # whose scores grade a fact's neurons
OWN = "own"  # the fact's own neurons, in the tables of stand-ins; others are their controls


def memberships(given: Inputs, rule: SharingRule) -> pd.DataFrame:
    """Return one row per neuron and set, with the columns of `tables.MEMBERSHIPS`.

    Args:
        given: What the earlier stages left.
        rule: What makes a fact's neurons in each language.

    Returns:
        Rows by kind of set in the order of `tables.KINDS`, then by language, name and rank. `score`
        is a relation set's average precision; of a fact's the mean share of the prompt's strongest
        attribution; of a language-independent neuron of a fact 1 / its geometric mean rank; of a
        language-specific one its entropy over languages, nats, the lower the more specific; of
        stand-ins the surplus of the whole set, nats of log-odds.
    """
    texts = labels(given.recalled)
    parts = [_of_relations(given), *_of_facts(given, rule, texts)]
    parts += [_independent(given, texts), _independent_relations(given), _specific(given)]
    parts += _degenerate(given, texts)
    found = tables.typed(parts, tables.MEMBERSHIPS)
    places = {source: i for i, source in enumerate([POOLED, *given.languages])}
    order = {
        "kind": found["kind"].map(tables.KINDS.index),
        "language": found["language"].map(places).fillna(-1),
    }
    keys = found.assign(**order).sort_values(["kind", "language", "name", "rank"], kind="stable")
    return found.loc[keys.index].reset_index(drop=True)


def relation_label(relation: str) -> str:
    """Return what a relation is called for people: its name in words."""
    return relation.replace("_", " ")


def labels(recalled: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Return each fact's `subject -> answer`, in the first language that has the fact."""
    found: dict[str, str] = {}
    for table in recalled.values():
        own = table.drop_duplicates("fact")
        for fact, subject, answer in zip(
            own["fact"], own["subject_label"], own["answer"], strict=True
        ):
            found.setdefault(str(fact), f"{subject} -> {answer}")
    return found


def fact_sets(given: Inputs, rule: SharingRule) -> dict[str, SetsByFact]:
    """Return by language each fact's knowledge neurons: those that `language_neurons` compares."""
    return {
        code: knowledge_sets.select(scores, method=METHOD, tau=0.0, share=rule.share, k=rule.k)
        for code, scores in given.attributed.items()
    }


def _of_relations(given: Inputs) -> pd.DataFrame:
    table = given.relation_table
    return table.assign(
        kind="relation",
        name=table["relation"],
        label=table["relation"].map(relation_label),
        language=table["source"],
    )


def _of_facts(given: Inputs, rule: SharingRule, texts: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    for code, sets in fact_sets(given, rule).items():
        if not any(len(chosen) for chosen in sets.values()):
            continue
        parts = [
            pd.DataFrame({"fact": fact, "neuron": chosen, "rank": np.arange(len(chosen))})
            for fact, chosen in sets.items()
        ]
        graded = knowledge_sets.grade_neurons(given.attributed[code], method=METHOD)
        found = pd.concat(parts, ignore_index=True).merge(
            graded.drop(columns="rank"), on=["fact", "neuron"], how="left", validate="one_to_one"
        )
        yield found.rename(columns={"fact": "name"}).assign(
            kind="fact",
            label=[texts.get(fact, fact) for fact in found["fact"]],
            language=code,
        )


def _independent(given: Inputs, texts: Mapping[str, str]) -> pd.DataFrame:
    table = given.independent
    named = [texts.get(str(fact), str(fact)) for fact in table["fact"]]
    return table[["neuron", "relation", "rank", "score"]].assign(
        kind="language_independent", name=table["fact"], label=named, language=None
    )


def _independent_relations(given: Inputs) -> pd.DataFrame:
    table = given.independent_relations
    return table[["neuron", "relation"]].assign(
        kind="language_independent",
        name=table["relation"],
        label=table["relation"].astype(object).map(relation_label),
        language=None,
        rank=None,
        score=np.nan,
    )


def _specific(given: Inputs) -> pd.DataFrame:
    table = given.specific
    return table[["neuron", "language", "rank"]].assign(
        kind="language_specific",
        name=table["language"],
        label=table["language"],
        relation=None,
        score=table["entropy"],
    )


def stand_ins(given: Inputs) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each language's own degenerate sets: found, and holding wherever they were tried."""
    for code, table in given.degenerate.items():
        yield code, table[(table["kind"] == OWN) & table["degenerate"].astype(bool)]


def _degenerate(given: Inputs, texts: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    for code, sets in stand_ins(given):
        spread = sets[["fact", "relation", "members", "surplus"]].explode("members")
        yield spread.rename(
            columns={"members": "neuron", "surplus": "score", "fact": "name"}
        ).assign(
            kind="degenerate",
            label=[texts.get(str(fact), str(fact)) for fact in spread["fact"]],
            language=code,
            rank=None,
        )


def best(found: pd.DataFrame, languages: Sequence[str]) -> pd.DataFrame:
    """Return by neuron the relation that it is best at, and in which language.

    The best rank among sets of relations; a neuron that is in none takes the relation of the fact
    that it ranks best for. Of equal ranks all languages pooled come first, then the languages in
    their order.

    Args:
        found: From `memberships`.
        languages: In their order.

    Returns:
        `best_relation` and `best_language` by neuron; one without a relation is missing.
    """
    with_relation = found[found["relation"].notna()]
    places = {source: i for i, source in enumerate([POOLED, *languages])}
    keys = pd.DataFrame(
        {
            "neuron": with_relation["neuron"],
            "kind": (with_relation["kind"] != "relation").astype(int),
            "rank": with_relation["rank"].astype("float64").fillna(np.inf),
            "language": with_relation["language"].map(places).fillna(len(places)),
            "relation": with_relation["relation"],
        }
    )
    order = keys.sort_values(list(keys.columns), kind="stable")
    first = with_relation.loc[order.drop_duplicates("neuron").index].set_index("neuron")
    return first[["relation", "language"]].add_prefix("best_")


def neurons(
    found: pd.DataFrame,
    best: pd.DataFrame,
    *,
    size: Float[np.ndarray, "layer neuron"],
    massive: Bool[np.ndarray, "layer neuron"],
) -> pd.DataFrame:
    """Return `tables.NEURONS`: one row per neuron that is in a set.

    Args:
        found: From `memberships`.
        best: From `best`.
        size: Mean absolute activation of every neuron.
        massive: Which neurons are outliers.
    """
    counts = pd.crosstab(found["neuron"], found["kind"])
    counted = counts.reindex(columns=list(tables.KINDS), fill_value=0).sort_index()
    carded = counted.index.to_numpy(np.int64)
    table = pd.DataFrame(
        {
            "neuron": carded,
            "layer": carded // size.shape[1],
            "index": carded % size.shape[1],
            "massive": massive.ravel()[carded],
            "size": size.ravel()[carded],
            **{f"n_{kind}": counted[kind].to_numpy() for kind in tables.KINDS},
        }
    )
    return tables.typed([table.join(best, on="neuron")], tables.NEURONS)
