"""Tables of the claims on knowledge neurons whose truth is known, at the default run's shape.

A fact's number has a part of its relation, one of its own and one of each item (language, or edited
language), equally large and normal. `Spread` holds what the committed run of Gemma 3 270M says of
the standard deviation of relations' means.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import norm

from neuron_atlas.degenerate_neurons.claims import CLAIMS as CLAIMS_FILE
from neuron_atlas.degenerate_neurons.claims import DETECTORS, META
from neuron_atlas.knowledge_findings.fact_checking import CLAIM, summarise_fact_checking
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts import interest
from neuron_atlas.verdicts.knowledge_verdicts import (
    amig_beats_baselines,
    cross_lingual_editing,
    degenerate_neurons_exist,
    language_independent_neurons_exist,
)
from neuron_atlas.verdicts.language_verdicts import language_specific_neurons_exist
from neuron_atlas.verdicts.verdict import Verdict

RIVALS = ("two", "three", "four", "five")
PLAIN = 1.0  # of claim probability's scores, standard deviations between true and false claims
CANDIDATES = 20  # strongest neurons of a fact, combined in pairs
COMPARED = 0.48  # share of the pairs both of whose neurons do little alone
# Share of pairs, of facts and of controls, that are degenerate by chance, and as many opposite:
# several times what the committed run has of either (one of 15,630 controls).
NOISE = 0.0005
N_TEXTS, N_DRAWS = 24, 5  # texts per language, and random sets
PUSHED = -0.2  # nats per token that anything costs which pushes as hard


@dataclass(frozen=True)
class Spread:
    """Standard deviations of relations' means, in the claim's unit, and how much is measured.

    Attributes:
        attribution: Of a method's effect less a rival's, nats.
        sharing: Of shared neurons of a fact less those of other facts.
        editing: Of an arm's transfer less a rival's, nats.
        relations: Asked.
        covered: Share of the relations in a language that have degenerate neurons.
        facts: With attributions, of a relation in a language.
        candidates: Strongest neurons of a fact, combined in pairs.
        uneven: How unequal relations' and facts' shares of degenerate pairs are: the coefficient of
            variation of each.
        languages: Whose texts are measured.
        text: Of own neurons less random ones, nats per token; of languages' means.
    """

    attribution: float = 0.26
    sharing: float = 2.2
    editing: float = 1.6
    relations: int = 12
    covered: float = 0.5
    facts: int = 2
    candidates: int = CANDIDATES
    uneven: float = 0.5
    languages: int = 6
    text: float = 1.3


@dataclass(frozen=True)
class Case:
    """One simulated run of one claim."""

    rng: np.random.Generator
    mean: float
    spread: Spread

    def facts(self, *, each: int, items: int) -> pd.DataFrame:
        """Return one row per item of a fact."""
        names = [f"r{r:02}:{i}" for r in range(self.spread.relations) for i in range(each)]
        return pd.DataFrame({"fact": np.repeat(names, items)})

    def noise(self, fact: pd.Series, size: float) -> Float[np.ndarray, " item"]:
        """Return noise of which relations' means have this standard deviation."""
        relation = fact.str.partition(":")[0]
        each = fact.nunique() / relation.nunique()
        items = len(fact) / fact.nunique()
        total = sum(self._by(labels) for labels in (relation, fact, pd.Series(range(len(fact)))))
        return np.asarray(size * total / np.sqrt(1 + 1 / each + 1 / (each * items)))

    def _by(self, labels: pd.Series) -> Float[np.ndarray, " item"]:
        codes = pd.factorize(labels)[0]
        return np.asarray(self.rng.normal(size=codes.max() + 1)[codes])

    def uneven(self, fact: pd.Series) -> Float[np.ndarray, " item"]:
        """Return factors of relations and of facts in a language, of mean 1."""
        relation = fact.str.partition(":")[0]
        shape = 1 / self.spread.uneven**2
        codes = [pd.factorize(labels)[0] for labels in (relation, pd.Series(range(len(fact))))]
        drawn = [self.rng.gamma(shape, 1 / shape, size=c.max() + 1)[c] for c in codes]
        return np.asarray(drawn[0] * drawn[1])

    def rivals(self, size: float, *, each: int, items: int) -> pd.DataFrame:
        """Return the numbers of what is claimed to be best, and of its rivals."""
        table = self.facts(each=each, items=items)
        own = size / np.sqrt(2)  # of one of two that are compared
        columns = {name: self.noise(table["fact"], own) for name in ("one", *RIVALS)}
        return table.assign(**columns | {"one": columns["one"] + self.mean})


def attribution(case: Case) -> Verdict:
    """AMIG's sets against those of its rivals."""
    table = case.rivals(case.spread.attribution, each=2, items=6)
    return amig_beats_baselines(table, "one", RIVALS, measured="Simulated.", negligible=0.05)


def editing(case: Case) -> Verdict:
    """Edits of language-independent neurons against those of its rivals, of which one decides."""
    table = case.rivals(case.spread.editing, each=3, items=2)
    return cross_lingual_editing(table, "one", RIVALS, measured="Simulated.", negligible=0.05)


def sharing(case: Case) -> Verdict:
    """Neurons shared between languages, of a fact, its relation and its answer."""
    table = case.facts(each=3, items=1)
    size = case.spread.sharing / np.sqrt(2)
    base, other, answer = (5 + case.noise(table["fact"], size) for _ in range(3))
    columns = {"same_fact": base + case.mean, "same_relation": other, "same_answer": answer}
    return language_independent_neurons_exist(
        table.assign(**columns, one_text=True), negligible=0.1
    )


def degenerate(case: Case) -> Verdict:
    """Degenerate and opposite pairs of a fact's neurons, and of their controls."""
    table = case.facts(each=3 * case.spread.facts, items=2)  # a fact is known in some languages
    shape = pairs_of(table, case.spread)
    counts = {
        name: case.rng.binomial(shape, np.clip(case.uneven(table["fact"]) * rate, 0, 1))
        for name, rate in (
            ("up", NOISE + max(case.mean, 0)),
            ("down", NOISE + max(-case.mean, 0)),
            ("null_up", NOISE),
            ("null_down", NOISE),
        )
    }
    rates = table.assign(n=shape, **counts)
    return degenerate_neurons_exist(rates, measured="Simulated.", negligible=0.002)


def pairs_of(table: pd.DataFrame, spread: Spread) -> Int[np.ndarray, " item"]:
    """Return how many pairs of each item are compared."""
    every = spread.candidates * (spread.candidates - 1) / 2
    return np.full(len(table), max(round(COMPARED * every), 1), dtype=np.int64)


def fact_checking(case: Case) -> Verdict:
    """One true and three false claims per fact; two of six facts validate."""
    gain = norm.ppf(norm.cdf(PLAIN / np.sqrt(2)) + case.mean) * np.sqrt(2)
    more = np.sign(case.mean) * np.sqrt(max(gain**2 - PLAIN**2, 0.0))
    with tempfile.TemporaryDirectory() as root:
        folders = {code: Path(root) / code for code in ("xa", "xb", "xc", "xd", "xe", "xf")}
        for folder in folders.values():
            _write_claims(case, folder, more)
        found = summarise_fact_checking(folders, negligible_auroc=0.01, n_resamples=200, seed=0)
    return found.verdicts[CLAIM]


def _write_claims(case: Case, folder: Path, more: float) -> None:
    table = case.facts(each=6, items=4)
    number = table["fact"].str.partition(":")[2].astype(int)
    label = np.arange(len(table)) % 4 == 0
    scores = {name: case.rng.normal(size=len(table)) for name in DETECTORS}
    scores["claim_probability"] = scores["claim_probability"] + PLAIN * label
    scores["degenerate"] = scores["degenerate"] + more * label
    relation = table["fact"].str.partition(":")[0]
    names = sorted(set(relation))
    n_bare = round((1 - case.spread.covered) * len(names))
    bare = [str(r) for r in case.rng.choice(names, size=n_bare, replace=False)]
    split = np.where(number < 2, "validation", "test")
    columns = {"relation": relation, "subject": number.astype(str), "split": split, "label": label}
    store.write_table(folder / CLAIMS_FILE, table.assign(**columns, **scores))
    probe = {"n_claims": 0, "n_neurons": 0}
    store.write_json(folder / META, {"relations_without": bare, "probe": probe})


def language_specific(case: Case) -> Verdict:
    """Text without its language's neurons, random ones, and other languages' at half the push.

    Anything that pushes as hard costs `PUSHED`. Own neurons cost `mean` beside; those of other
    languages do not.
    """
    spread, n = case.spread, N_TEXTS
    codes = [f"x{i}" for i in range(spread.languages)]
    texts = pd.DataFrame({"fact": [f"{code}:{i}" for code in codes for i in range(n)]})
    texts["measured"] = texts["language"] = texts["fact"].str.partition(":")[0]
    size = spread.text / np.sqrt(2)  # of one of two that are compared
    own, drawn, other = (PUSHED + case.noise(texts["fact"], size) for _ in range(3))
    own = own + case.mean
    parts = [
        _arm(texts, kind="set", push=2.0, effect=own),
        *(_arm(texts, kind="push_matched", push=2.0, effect=drawn, draw=i) for i in range(N_DRAWS)),
        _arm(texts, kind="own_scaled", push=1.0, effect=own / 2),
        _arm(texts, kind="other_set", push=1.0, effect=other / 2),
    ]
    return language_specific_neurons_exist(pd.concat(parts, ignore_index=True), negligible=0.01)


def _arm(texts: pd.DataFrame, *, draw: int = -1, **columns: Any) -> pd.DataFrame:
    return texts.assign(draw=draw, **columns)


@dataclass(frozen=True)
class KnowledgeClaim:
    """A claim on knowledge neurons.

    Attributes:
        judge: Simulates and judges one run.
        interest: The effect of interest, in its unit.
        unit: Of the effect.
        falls: Whether there is an opposite.
        times: How many times the effect of interest the opposite is.
    """

    judge: Callable[[Case], Verdict]
    interest: float
    unit: str
    falls: bool = True
    times: float = 3


KNOWLEDGE: Mapping[str, KnowledgeClaim] = {
    "amig_beats_baselines": KnowledgeClaim(attribution, interest.ATTRIBUTION, "nats"),
    "language_independent_neurons_exist": KnowledgeClaim(
        sharing, interest.LANGUAGE_INDEPENDENT, "neurons"
    ),
    "language_specific_neurons_exist": KnowledgeClaim(
        language_specific, -interest.LANGUAGE_SPECIFIC, "nats per token", times=30
    ),
    "cross_lingual_editing": KnowledgeClaim(editing, interest.EDITING, "nats"),
    "degenerate_neurons_exist": KnowledgeClaim(degenerate, interest.DEGENERATE, "share of pairs"),
    "degenerate_neurons_help_fact_checking": KnowledgeClaim(
        fact_checking, interest.FACT_CHECKING, "AUROC", falls=False
    ),
}
DEGENERATE, CHECKING = "degenerate_neurons_exist", "degenerate_neurons_help_fact_checking"
PERFECT = "perfect detectors"
BEST = 0.23  # AUROC that a detector which never errs adds to claim probability's, nearly
USUAL = Spread()
QUIET_SPREAD = Spread(attribution=0.02, sharing=0.1, editing=0.03, candidates=60, text=0.005)
FEW = replace(USUAL, relations=2, covered=0.0, languages=2)


def simulated(name: str, case: str, seed: int) -> Verdict | None:
    """Judge one run of a claim.

    Args:
        name: The claim.
        case: `null`, `interest`, `wrong` (the opposite), `quiet`, `small`, `PERFECT` detectors, or
            facts and candidates at the effect of interest, such as "2x10".
        seed: Of the run.

    Returns:
        The verdict; None where a claim has no opposite.
    """
    claim = KNOWLEDGE[name]
    if case == "wrong" and not claim.falls:
        return None
    facts, sized, candidates = case.partition("x")
    means = {"interest": claim.interest, "wrong": -claim.times * claim.interest, PERFECT: BEST}
    spreads = {"quiet": QUIET_SPREAD, "small": FEW}
    if sized and facts.isdigit():
        means[case] = claim.interest
        spreads[case] = replace(USUAL, facts=int(facts), candidates=int(candidates))
    rng = np.random.default_rng([seed, sum(name.encode()), sum(case.encode())])
    return claim.judge(Case(rng, means.get(case, 0.0), spreads.get(case, USUAL)))
