"""Write docs/calibration.md: how often each verdict says what, on tables whose truth is known.

`metrics/calibration.json` has the same figures by claim.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import old_rules
from max_t_methods import compare
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts import interest
from neuron_atlas.verdicts.relation_verdicts import (
    cumulativity,
    relation_neurons_exist,
    relation_neurons_suffice,
    versatility_languages,
)
from neuron_atlas.verdicts.selector_verdict import average_precision_beats_other_selectors
from neuron_atlas.verdicts.sharing_verdicts import interference, versatility_relations
from neuron_atlas.verdicts.verdict import Verdict
from simulated_knowledge import (
    CHECKING,
    DEGENERATE,
    FEW,
    KNOWLEDGE,
    NOISE,
    PERFECT,
    QUIET_SPREAD,
    USUAL,
    simulated,
)
from simulated_tables import Noise, Shape, Simulation, Truth

NEGLIGIBLE = 0.05
WORDS = ("supported", "contradicted", "not supported", "undecided", "untestable")
EFFECTS = ("+0.00", "-0.10", "-0.15")
KNOWLEDGE_HEAD = ("verdict", "false", "power", "interest", "mde", "words reached")
CLAIM_HEAD = ("verdict", "false", "power", "coverage", "mde", "words reached")
METHOD_HEAD = ("method", "facts", "false", "found, 6 at -0.1", "found, 6 at -0.15")
TEXT = """# Calibration of the verdicts

Made by `make calibrate`; {n} simulated runs each. A verdict is worth what its rule does on tables
whose truth is known: how often it says `supported` where nothing is there, how often where the
effect of interest is (`verdicts/interest.py`), and whether every word can be reached.

## The verdicts of relation neurons

* *false*: share `supported` where every set does what anything that pushes as hard does, with the
  exact 95 % interval of a binomial.
* *power*: share `supported` at the effect of interest. For the claims about cells one of
  {cells} has it.
* *coverage*: of the shown 95 % interval, at the effect of interest; where the interval is one of
  many that hold together, see the last table.
* *mde*: median minimal detectable effect, nats.

{claims}

The claims about cells say that there is one; that others go the other way does not contradict them.

Negligible: {negligible} nats. Sizes, of which two thirds are answered right; `known` is how many
of the relations each language knows, as in the committed run:

    {shape}

Standard deviations in nats, chosen after the committed run of Gemma 3 270M, whose facts differ by
0.25 within a relation (mean over languages, own sets) and by 0.10 under other relations' sets, and
whose random sets differ by 0.07 and 0.05 in one language:

    {noise}

`not supported` was looked for with less noise, `untestable` also with fewer relations, and
`contradicted` with effects the other way, {few} runs each:

    {quiet}
    {small}

## The verdicts of knowledge neurons

The same, {n} runs each. *interest*: the effect at which power is given, and the unit of *mde*. Four
rivals, where there are rivals; facts and pairs as many as in the default run, but claims for fact
checking in {covered:.0f} % of the cells, where the committed run has none. By chance
{noise_pairs:.1f} % of the pairs are degenerate, of a fact's as of its controls, and as many are
opposite.

{knowledge}

Standard deviations of relations' means, and the sizes, chosen after the committed run; then those
with which `not supported` and `untestable` were looked for:

    {usual}
    {knowledge_quiet}
    {knowledge_few}

With perfect detectors in half of the cells `degenerate_neurons_help_fact_checking` says `supported`
in {perfect} of the runs.

## How many pairs see a rate of 0.5 %

`degenerate_neurons_exist` at the effect of interest, {half} runs each, by the facts with
attributions of a relation in a language and by the strongest neurons of each that are combined.

{pairs}

## What size sees 0.08 nats by relation

`relation_neurons_exist` at the effect of interest, {half} runs each; both its contrasts have to be
found.

{sizes}

## The rules before, on the same tables

{some} runs each.

{cases}

## Many cells at once

90 cells, ten relations under nine sets, one effect per fact. *False*: families with any false
finding; *found*: with a true one.

{methods}

Between drawn sets there is further variance, which only the used method takes in; in the first
table it is there.
"""
EXIST = "relation_neurons_exist"
RULES = ("old", "new")
ASKED = (4, 16, 24)
PAIRED = ((2, 6), (2, 10), (2, 20), (2, 30), (4, 14), (4, 20))  # facts, and candidates of each
STANDARD = ("null", "interest", "wrong", "quiet", "small")
DEFAULT, WHOLE = Noise(), Shape()
SMALL = Shape(relations=4, languages=2, facts=8, asked=6, known=())
Judge = Callable[..., Verdict | None]
SPARSE = {(q, (q + 1) % WHOLE.relations): -0.5 for q in range(6)}
N_CELLS = WHOLE.relations * (WHOLE.relations - 1)
BETTER = {(0, 1): interest.CELL}
QUIET = Noise(fact=0.02, item=0.03, shared=0.05, drawn=0.005, relation=0.2, heterogeneity=0.2)


@dataclass(frozen=True)
class Claim:
    """A verdict function, and the tables that it needs.

    Attributes:
        judge: The function.
        tables: Makes its table.
        truth: The truth at the effect of interest.
        wrong: The opposite truth.
        target: The true effect at `truth`, nats; NaN for the largest of many cells.
    """

    judge: Judge
    tables: Callable[[Simulation], pd.DataFrame]
    truth: Truth
    wrong: Truth | None
    target: float


@dataclass(frozen=True)
class Runs:
    """What a verdict said in repeated runs."""

    words: Counter[str] = field(default_factory=Counter)
    mde: float = float("nan")
    covered: float = float("nan")

    def share(self, word: str) -> float:
        """Return how often the word was said."""
        return self.words[word] / max(self.words.total(), 1)


CLAIMS: Mapping[str, Claim] = {
    "relation_neurons_exist": Claim(
        relation_neurons_exist,
        lambda s: s.own(),
        Truth(own=-interest.RELATION_NEURONS),
        Truth(own=0.3),
        -interest.RELATION_NEURONS,
    ),
    "cumulativity": Claim(
        cumulativity,
        lambda s: s.own(doses=True),
        Truth(own=-2 * interest.CUMULATIVITY),
        Truth(own=-0.1, first_half=3.0),
        -interest.CUMULATIVITY,
    ),
    "versatility_relations": Claim(
        versatility_relations,
        lambda s: s.cells(),
        Truth(cells={(0, 1): -interest.CELL}),
        None,
        float("nan"),
    ),
    "interference": Claim(
        interference,
        lambda s: s.cells(),
        Truth(cells=BETTER),
        None,
        float("nan"),
    ),
    "versatility_languages": Claim(
        versatility_languages,
        lambda s: s.transfer(),
        Truth(transfer=-interest.LANGUAGES),
        Truth(transfer=0.3),
        -interest.LANGUAGES,
    ),
    "relation_neurons_suffice": Claim(
        relation_neurons_suffice,
        lambda s: s.sufficiency(),
        Truth(install=interest.SUFFICIENCY),
        Truth(install=-0.5),
        interest.SUFFICIENCY,
    ),
    "average_precision_beats_other_selectors": Claim(
        average_precision_beats_other_selectors,
        lambda s: s.own(rivals=True),
        Truth(own=-interest.SELECTORS),
        Truth(own=0.0, rival=-0.5),
        -interest.SELECTORS,
    ),
}


OLD: Mapping[str, Claim] = {
    "relation_neurons_exist": Claim(
        old_rules.relation_neurons_exist, lambda s: s.own(sides=True), Truth(), None, float("nan")
    ),
    "versatility_relations": Claim(
        old_rules.versatility_relations, lambda s: s.cells(), Truth(), None, float("nan")
    ),
    "interference": Claim(old_rules.interference, lambda s: s.cells(), Truth(), None, float("nan")),
}
CASES: Mapping[str, tuple[str, str, Truth]] = {
    "A random control that pushes a third as hard; the sets do nothing of their own": (
        "relation_neurons_exist",
        "supported",
        Truth(push=-0.15),
    ),
    "Sets that harm every relation alike (-0.3)": (
        "relation_neurons_exist",
        "supported",
        Truth(own=-0.3, other=-0.3),
    ),
    f"One relation of {WHOLE.relations} at -1, the others at 0": (
        "relation_neurons_exist",
        "supported",
        Truth(own=(-1.0, *[0.0] * (WHOLE.relations - 1))),
    ),
    f"6 of {N_CELLS} cells at -0.5": (
        "versatility_relations",
        "not supported",
        Truth(cells=SPARSE),
    ),
    "An exact null of interference": ("interference", "undecided", Truth()),
}


def repeat(
    claim: Claim, truth: Truth, n: int, *, noise: Noise = DEFAULT, shape: Shape = WHOLE
) -> Runs:
    """Judge `n` simulated runs.

    Args:
        claim: The verdict.
        truth: What is true in them.
        n: How many.
        noise: How noisy they are.
        shape: How much was measured.
    """
    words: Counter[str] = Counter()
    mde, covered = [], []
    for seed in range(n):
        table = claim.tables(Simulation(np.random.default_rng([n, seed]), shape, noise, truth))
        found = claim.judge(table, negligible=NEGLIGIBLE)
        if found is None:
            continue
        words[found.verdict] += 1
        mde.append(found.mde if found.mde is not None else np.nan)
        covered.append(found.effect.low <= claim.target <= found.effect.high)
    return Runs(words, float(np.median(mde)), float(np.mean(covered)))


def job(name: str, case: str, n: int) -> Runs:
    """Simulate one claim in one case.

    `case` is a key of `CASES`, one of the standard ones, or a size: facts asked, or for
    `DEGENERATE` facts and candidates.
    """
    if case in CASES:
        rules = OLD if name == "old" else CLAIMS
        judged, _, truth = CASES[case]
        return repeat(rules[judged], truth, n // 4)
    few = max(n // 10, 10)
    if name in KNOWLEDGE:
        whole = {"null": n, "interest": n, PERFECT: few}
        return repeat_knowledge(name, case, whole.get(case, few if case in STANDARD else n // 2))
    claim = CLAIMS[name]
    if case == "null":
        return repeat(claim, Truth(), n)
    if case == "interest":
        return repeat(claim, claim.truth, n)
    if case.isdigit():
        shape = Shape(facts=3 * int(case) // 2, asked=int(case))
        return repeat(claim, claim.truth, n // 2, shape=shape)
    if case == "quiet":
        return repeat(claim, Truth(), few, noise=QUIET)
    if case == "small":
        return repeat(claim, Truth(), few, shape=SMALL)
    return repeat(claim, claim.wrong, few) if claim.wrong else Runs()


def repeat_knowledge(name: str, case: str, n: int) -> Runs:
    """Judge `n` simulated runs of a claim on knowledge neurons."""
    found = [one for seed in range(n) if (one := simulated(name, case, seed)) is not None]
    known = [one.mde for one in found if one.mde is not None]
    mde = float(np.median(known)) if known else float("nan")
    return Runs(Counter(one.verdict for one in found), mde)


def figures(runs: Mapping[tuple[str, str], Runs]) -> dict[str, dict[str, float]]:
    """Return by claim the share of false `supported`, the power and the minimal effect."""
    return {
        name: {
            "false_positive_rate": runs[name, "null"].share("supported"),
            "power": runs[name, "interest"].share("supported"),
            "mde": runs[name, "interest"].mde,
        }
        for name in (*CLAIMS, *KNOWLEDGE)
    }


def page(runs: Mapping[tuple[str, str], Runs], methods: pd.DataFrame, n: int) -> str:
    """Return the page as Markdown."""
    claims = [_claim_row(name, runs, n) for name in CLAIMS]
    knowledge = [_knowledge_row(name, runs, n) for name in KNOWLEDGE]
    cases = [
        (case, CASES[case][0], word, *(_percent(runs[rules, case].share(word)) for rules in RULES))
        for case in CASES
        for word in dict.fromkeys((CASES[case][1], "supported"))
    ]
    sizes = [
        (str(asked), _percent(found.share("supported")), f"{found.mde:.3f}")
        for asked, found in ((asked, runs[EXIST, str(asked)]) for asked in ASKED)
    ]
    compared = [
        (row["method"], str(row["facts"]), *(f"{100 * row[e]:.1f} %" for e in EFFECTS))
        for row in methods.to_dict("records")
    ]
    return TEXT.format(
        n=n,
        few=max(n // 10, 10),
        some=n // 4,
        half=n // 2,
        cells=N_CELLS,
        negligible=NEGLIGIBLE,
        noise=Noise(),
        shape=Shape(),
        quiet=QUIET,
        small=SMALL,
        claims=_table(CLAIM_HEAD, claims),
        knowledge=_table(KNOWLEDGE_HEAD, knowledge),
        covered=100 * USUAL.covered,
        usual=USUAL,
        noise_pairs=100 * NOISE,
        perfect=_percent(runs[CHECKING, PERFECT].share("supported")),
        pairs=_table(("facts", "candidates", "power", "mde"), _paired(runs)),
        knowledge_quiet=QUIET_SPREAD,
        knowledge_few=FEW,
        cases=_table(("truth", "verdict", "word", "old rule", "new rule"), cases),
        sizes=_table(("facts asked per relation and language", "power", "mde"), sizes),
        methods=_table(METHOD_HEAD, compared),
    )


def _paired(runs: Mapping[tuple[str, str], Runs]) -> list[tuple[str, ...]]:
    rows = [(size, runs[DEGENERATE, f"{size[0]}x{size[1]}"]) for size in PAIRED]
    return [
        (*map(str, size), _percent(found.share("supported")), f"{100 * found.mde:.2f} %")
        for size, found in rows
    ]


def _claim_row(name: str, runs: Mapping[tuple[str, str], Runs], n: int) -> tuple[str, ...]:
    there = runs[name, "interest"]
    covered = "" if np.isnan(CLAIMS[name].target) else f"{100 * there.covered:.1f} %"
    return (*_false_and_power(name, runs, n), covered, f"{there.mde:.2f}", _reached(name, runs))


def _knowledge_row(name: str, runs: Mapping[tuple[str, str], Runs], n: int) -> tuple[str, ...]:
    claim = KNOWLEDGE[name]
    mde, reached = f"{runs[name, 'interest'].mde:.2g}", _reached(name, runs)
    return (*_false_and_power(name, runs, n), f"{claim.interest:g} {claim.unit}", mde, reached)


def _false_and_power(
    name: str, runs: Mapping[tuple[str, str], Runs], n: int
) -> tuple[str, str, str]:
    null = runs[name, "null"]
    false = binomtest(null.words["supported"], n).proportion_ci(0.95, "exact")
    return (
        name,
        f"{100 * null.share('supported'):.1f} % [{100 * false.low:.1f}, {100 * false.high:.1f}]",
        f"{100 * runs[name, 'interest'].share('supported'):.0f} %",
    )


def _reached(name: str, runs: Mapping[tuple[str, str], Runs]) -> str:
    said = [runs[name, case].words for case in STANDARD]
    return ", ".join(word for word in WORDS if any(words[word] for words in said))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Run all simulations and write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("figures", type=Path)
    options.add_argument("--runs", type=int, default=200)
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    standard = [(name, case) for name in (*KNOWLEDGE, *CLAIMS) for case in STANDARD]
    special = [(rules, case) for case in CASES for rules in RULES]
    sized = [(EXIST, str(asked)) for asked in ASKED]
    sized += [(DEGENERATE, f"{facts}x{candidates}") for facts, candidates in PAIRED]
    sized += [(CHECKING, PERFECT)]
    with ProcessPoolExecutor(given.workers) as pool:
        methods = pool.submit(compare, given.runs)
        jobs = {key: pool.submit(job, *key, given.runs) for key in [*special, *sized, *standard]}
        runs = {key: one.result() for key, one in jobs.items()}
        given.out.write_text(page(runs, methods.result(), given.runs), encoding="utf-8")
        store.write_json(given.figures, figures(runs))


if __name__ == "__main__":
    main()
