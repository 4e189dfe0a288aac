"""Language-independent neurons: how many two languages share of a fact, and of other facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from neuron_atlas.neurons.knowledge_sets import SetsByFact
from published.knowledge import contrasts
from published.knowledge.ground import Ground
from published.knowledge.sets import AMIG, FOREIGN, JOINT, OURS, SHARED
from published.knowledge.success import success

STEPS = ("alone", "random", "other", "sibling", "different_answer")


@dataclass(frozen=True)
class Languages:
    """The two languages' grounds, and by fact whether the answer is spelt alike in both."""

    one: Ground
    two: Ground

    @property
    def relations(self) -> Mapping[str, str]:
        """The relation of each fact."""
        return self.one.asked.relations

    def spelt_alike(self, fact: str) -> bool:
        """Say whether the fact's answer is the same text in both languages."""
        texts = [g.prompts[g.own_prompt[fact]]["answer"].casefold() for g in (self.one, self.two)]
        return len(set(texts)) == 1


def figures(both: Languages) -> dict[str, Any]:
    """Return how many neurons are shared, by the published sets and by ours of the same size."""
    return {method: _counts(both, method) for method in (AMIG, OURS)}


def _counts(both: Languages, method: str) -> dict[str, Any]:
    one, two = both.one.sets[method], both.two.sets[method]
    facts = [fact for fact in both.relations if fact in one and fact in two]
    own = pd.Series({f: len(np.intersect1d(one[f], two[f])) for f in facts}, dtype=np.float64)
    steps = [
        contrasts.step(name, values, both.relations)
        for name, values in _steps(both, method, own).items()
    ]
    sizes = [len(found[f]) for found in (one, two) for f in facts]
    return {
        "facts": len(facts),
        "with_any": int((own > 0).sum()),
        "size": float(np.mean(sizes)) if sizes else None,
        "same_answer": sum(both.spelt_alike(f) for f in facts),
        "steps": contrasts.listed(steps),
    }


def _steps(both: Languages, method: str, own: pd.Series) -> dict[str, pd.Series]:
    """Return the neurons that each fact's sets share, less those that each control's do.

    `random`: random sets of the same layers and sizes in both languages; `other` and `sibling`: the
    fact's set in one language and that of a fact of another, or of the same, relation in the other;
    `different_answer`: as `other`, of facts whose answer is spelt differently in the two languages.
    """
    one, two = both.one.sets[method], both.two.sets[method]
    facts, relations = list(own.index), both.relations
    random = pd.Series({f: _at_random(both, method, f) for f in facts}, dtype=np.float64)

    def beside(same: bool) -> pd.Series:
        def allowed(a: str, b: str) -> bool:
            return a != b and (relations[a] == relations[b]) is same

        return pd.Series({f: mismatched(one, two, f, facts, allowed) for f in facts}, dtype=float)

    other, apart = beside(same=False), [f for f in facts if not both.spelt_alike(f)]
    return {
        "alone": own,
        "random": own - random,
        "other": own - other,
        "sibling": own - beside(same=True),
        "different_answer": (own - other)[apart],
    }


def mismatched(
    one: SetsByFact,
    two: SetsByFact,
    fact: str,
    facts: list[str],
    allowed: Callable[[str, str], bool],
) -> float:
    """Return how many neurons a fact shares with allowed others across languages, on average."""
    found = [
        (len(np.intersect1d(one[fact], two[f])) + len(np.intersect1d(one[f], two[fact]))) / 2
        for f in facts
        if allowed(fact, f)
    ]
    return float(np.mean(found)) if found else float("nan")


def _at_random(both: Languages, method: str, fact: str) -> float:
    """Return how many neurons matched random sets in the two languages share, on average."""
    drawn: list[Int[np.ndarray, "draw k"]] = [
        ground.matched(ground.sets[method][fact], ground.size, "sharing", method, fact)
        for ground in (both.one, both.two)
    ]
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(*drawn, strict=True)]))


def editing(rows: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the published comparison of cross-lingual edits, and the same on the same facts.

    Chen et al. 2024, Table 2, in each of two languages: `shared` neurons, the other language's
    (`mono-lingual`), and `sequential`, which in their code undoes the first edit before the second,
    so that the second language's set alone is edited. `joint` edits both. They have as many facts
    as have such a set, `same_facts` those that share neurons.
    """
    second = list(rows)[1]
    found: dict[str, Any] = {}
    for language, table in rows.items():
        sequential = AMIG if language == second else FOREIGN
        methods = {"shared": SHARED, "mono": FOREIGN, "sequential": sequential, "joint": JOINT}
        shared = set(table[table["method"] == SHARED]["fact"])
        some = table[table["fact"].isin(shared)]
        found[language] = {
            "facts": len(shared),
            "published": {name: success(table, m)["ratio"] for name, m in methods.items()},
            "same_facts": {name: success(some, m)["ratio"] for name, m in methods.items()},
        }
    return found
