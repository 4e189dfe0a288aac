"""Write docs/replication.md: each claim's verdict in every run, and how many runs agree."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neuron_atlas.report.claims import CLAIMS, Claim

Verdicts = Mapping[str, Mapping[str, Any]]  # claim -> its entry in metrics/summary.json

TEXT = """# Replication

Made by `make replicate` from the DVC experiments that it runs; [experiments.md](experiments.md)
says how. Every run has the parameters of params.yaml but for what the first table says. A run
agrees with the first if it has the same verdict; runs that cannot test a claim count neither way.
mde is the smallest effect that such a run would find in 80 of 100 repetitions.

## The runs

{runs}

## The languages

A model's languages are those in which its typed accuracy is above that of always giving the most
frequent answer in more than half of the relations, at the first seed; it keeps them at all seeds.

{languages}

## All claims

{overview}

{claims}"""
RUN_HEAD = ("run", "model", "seed", "languages", "state")
LANGUAGE_HEAD = ("model", "language", "relations above the majority", "kept")
CLAIM_HEAD = ("run", "verdict", "effect", "95 % interval", "mde")
NONE = "-"


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        model: What `model.source` names.
        seed: The seed.
        state: `finished`, or why there are no results.
        languages: The languages that it has; empty if that is not known.
        verdicts: What it says of each claim; None if it has not finished.
    """

    model: str
    seed: int
    state: str = "finished"
    languages: Sequence[str] = ()
    verdicts: Verdicts | None = None

    @property
    def title(self) -> str:
        """A name for sentences."""
        return f"{self.model}, seed {self.seed}"


@dataclass(frozen=True)
class Known:
    """In how many relations a model is above the majority baseline, by language.

    Attributes:
        above: How many relations are above.
        asked: Of how many.
    """

    above: int
    asked: int

    @property
    def kept(self) -> bool:
        """Whether that is more than half."""
        return 2 * self.above > self.asked


@dataclass(frozen=True)
class Agreement:
    """How the other runs compare with the first, on one claim.

    Attributes:
        first: The first run's word; empty if it has none.
        same: Other runs with the same word.
        able: Other runs that could test the claim.
        others: The runs that could and have another word, with it.
        unable: Number of other runs in which the claim was untestable.
        missing: Number of other runs without a verdict on it.
    """

    first: str
    same: int = 0
    able: int = 0
    others: Sequence[tuple[str, str]] = field(default_factory=tuple)
    unable: int = 0
    missing: int = 0

    @property
    def share(self) -> str:
        """Return `same of able`, or nothing where there is nothing to agree with."""
        return NONE if self.first in ("", "untestable") else f"{self.same} of {self.able}"


def agreement(claim: str, outcomes: Sequence[Outcome]) -> Agreement:
    """Compare the runs after the first with it."""
    first, *others = [_word(outcome, claim) for outcome in outcomes]
    able = [word for word in others if word not in ("", "untestable")]
    named = zip((outcome.title for outcome in outcomes[1:]), others, strict=True)
    return Agreement(
        first,
        same=able.count(first),
        able=len(able),
        others=tuple((t, w) for t, w in named if w in able and w != first),
        unable=others.count("untestable"),
        missing=others.count(""),
    )


def _word(outcome: Outcome, claim: str) -> str:
    return str((outcome.verdicts or {}).get(claim, {}).get("verdict", ""))


def sentence(found: Agreement) -> str:
    """Say in a sentence or two how far the runs agree on a claim."""
    if not found.first:
        said = ["The first run has no verdict, so there is nothing to agree with."]
    elif found.first == "untestable":
        said = [f"The first run could not test it; {found.able} of the others could."]
    elif not found.able:
        said = [f"The first run says *{found.first}*; no other run could test it."]
    else:
        said = [
            f"The first run says *{found.first}*; of the others that could test it, "
            f"{found.same} of {found.able} say the same."
        ]
    said += [f"{title}: {word}." for title, word in found.others]
    counts = (("untestable", found.unable), ("without a verdict", found.missing))
    said += [f"{n} of the others: {what}." for what, n in counts if n]
    return " ".join(said)


def page(outcomes: Sequence[Outcome], known: Mapping[str, Mapping[str, Known]]) -> str:
    """Return the page as Markdown.

    Args:
        outcomes: The runs; the first is the one that others are compared with.
        known: By model and language, in how many relations it is above the majority.
    """
    found = {name for outcome in outcomes for name in outcome.verdicts or ()}
    claims = [name for name in CLAIMS if name in found] + sorted(found - CLAIMS.keys())
    return (
        TEXT.format(
            runs=_table(RUN_HEAD, list(_run_rows(outcomes))),
            languages=_table(LANGUAGE_HEAD, list(_language_rows(known)))
            if known
            else "Not asked yet.",
            overview=_overview(claims, outcomes) if claims else "No run has finished yet.",
            claims="\n".join(_section(name, outcomes) for name in claims),
        ).rstrip()
        + "\n"
    )


def _run_rows(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    for number, o in enumerate(outcomes, 1):
        state = " ".join(o.state.replace("|", "\\|").split())
        yield str(number), f"`{o.model}`", str(o.seed), ", ".join(o.languages) or NONE, state


def _language_rows(known: Mapping[str, Mapping[str, Known]]) -> Iterator[tuple[str, ...]]:
    for model, languages in known.items():
        for code, one in languages.items():
            share = f"{one.above} of {one.asked}"
            yield f"`{model}`", code, share, "yes" if one.kept else "no"


def _overview(claims: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    head = ("claim", *(f"run {n}" for n in range(1, len(outcomes) + 1)), "agree with run 1")
    rows = [
        (
            f"`{name}`",
            *(_word(outcome, name) or NONE for outcome in outcomes),
            agreement(name, outcomes).share,
        )
        for name in claims
    ]
    return _table(head, rows)


def _section(name: str, outcomes: Sequence[Outcome]) -> str:
    claim = CLAIMS.get(name, Claim(name, ""))
    rows = [_claim_row(n, o, name, claim.unit) for n, o in enumerate(outcomes, 1)]
    reasons = Counter(
        str(entry["reason"])
        for entry in ((o.verdicts or {}).get(name, {}) for o in outcomes)
        if entry.get("reason")
    )
    why = [f"Untestable in {n}: {text}." for text, n in reasons.items()]
    parts = [claim.meaning, sentence(agreement(name, outcomes)), *why]
    text = "\n\n".join(part for part in (" ".join(parts).strip(), _table(CLAIM_HEAD, rows)) if part)
    return f"## {claim.name}\n\n{text}\n"


def _claim_row(number: int, outcome: Outcome, claim: str, unit: str) -> tuple[str, ...]:
    entry = (outcome.verdicts or {}).get(claim, {})
    effect, low, high, mde = (entry.get(key) for key in ("effect", "low", "high", "mde"))
    return (
        f"{number} ({outcome.title})",
        _word(outcome, claim) or NONE,
        NONE if effect is None else f"{effect:+.3g} {unit}",
        NONE if low is None or high is None else f"{low:+.3g} to {high:+.3g}",
        NONE if mde is None else f"{mde:.2g}",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
