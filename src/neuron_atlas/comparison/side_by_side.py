"""Runs side by side: what differs between them, and what changed beyond its interval."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from neuron_atlas.comparison.changes import Change, change
from neuron_atlas.comparison.choice import HEAD, WORKSPACE
from neuron_atlas.comparison.runs import Finding, Run
from neuron_atlas.comparison.set_overlap import SetOverlap, set_overlaps
from neuron_atlas.comparison.stored_sets import StoredSets
from neuron_atlas.report.claims import CLAIMS

ABSENT = object()  # of a parameter that a run does not have; None is a value


@dataclass(frozen=True)
class Row:
    """Something that differs between runs: its name, and each run's value as text."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ClaimRow:
    """A claim in each run.

    Attributes:
        claim: Its name in the metrics.
        findings: What each run says of it; None where it has no numbers of its own.
        changes: How much each run's effect differs from the reference's; None where one has none.
        new_words: Whether each run's verdict is another than the reference's.
        same: Whether each run says what the reference says, to the last digit.
    """

    claim: str
    findings: tuple[Finding | None, ...]
    changes: tuple[Change | None, ...]
    new_words: tuple[bool, ...]
    same: tuple[bool, ...]


@dataclass(frozen=True)
class SetsRow:
    """The relation neurons of two runs, by their places, or why they are not compared."""

    run: int
    base: int
    overlaps: tuple[SetOverlap, ...] = ()
    absent: str = ""

    @property
    def same(self) -> bool:
        """Whether all sets of both runs hold the same neurons."""
        return bool(self.overlaps) and all(one.jaccard == 1 for one in self.overlaps)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: The runs, in the order in which they are shown.
        reference: The run that the others are compared with: the first that has numbers of its
            own; None if none has.
        parameters: Those that differ.
        inputs: Code and files of ours that differ, by the starts of their hashes.
        claims: All claims, in the order of the page.
        known: Known facts of all facts by language, where they differ.
        sets: What the relation neurons of the other runs share with the reference's.
    """

    runs: tuple[Run, ...]
    reference: int | None
    parameters: tuple[Row, ...]
    inputs: tuple[Row, ...]
    claims: tuple[ClaimRow, ...]
    known: tuple[Row, ...]
    sets: tuple[SetsRow, ...]

    @property
    def n_compared(self) -> int:
        """Effects that were compared with the reference's and are not the same numbers."""
        return sum(one.size != "identical" for one in self._changes())

    @property
    def n_beyond(self) -> int:
        """Effects that changed beyond what the intervals allow."""
        return sum(one.size == "beyond" for one in self._changes())

    def _changes(self) -> Iterator[Change]:
        for row in self.claims:
            yield from (one for one in row.changes if one is not None)

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return {
            "runs": [_run_as_dict(run) for run in self.runs],
            "reference": None if self.reference is None else self.runs[self.reference].choice.name,
            "parameters": {row.name: list(row.values) for row in self.parameters},
            "inputs": {row.name: list(row.values) for row in self.inputs},
            "claims": {
                row.claim: {
                    "findings": [one and asdict(one) for one in row.findings],
                    "changes": [one and one.as_dict() for one in row.changes],
                    "new_verdicts": list(row.new_words),
                }
                for row in self.claims
            },
            "known": {row.name: list(row.values) for row in self.known},
            "sets": [
                {
                    "run": self.runs[row.run].choice.name,
                    "compared_with": self.runs[row.base].choice.name,
                    "absent": row.absent or None,
                    "relations": [asdict(one) for one in row.overlaps],
                }
                for row in self.sets
            ],
        }


def _run_as_dict(run: Run) -> dict[str, Any]:
    about = run.ownership
    return {
        "name": run.choice.name,
        "rev": run.choice.rev,
        "state": run.choice.state,
        "own": run.own,
        "told": run.told(),
        "stopped_before": about.stopped_before,
        "behind": dict(about.behind),
        "changed_inputs": list(about.changed_inputs),
        "by_size": list(about.by_size),
        "unchecked": list(about.unchecked),
    }


def side_by_side(runs: Sequence[Run]) -> Comparison:
    """Compare runs with the first that has numbers of its own.

    Args:
        runs: Two or more.
    """
    reference = next((place for place, run in enumerate(runs) if run.own), None)
    first = None if reference is None else runs[reference]
    known = [
        {c: f"{k:,} of {n:,}" for c, (k, n) in run.known.items()} if run.own else None
        for run in runs
    ]
    return Comparison(
        tuple(runs),
        reference,
        tuple(_differing([run.parameters or None for run in runs])),
        tuple(_differing([run.inputs or None for run in runs])),
        tuple(_claims(runs, first)),
        tuple(_differing(known)),
        tuple(_sets(runs, reference)),
    )


def without_twin(runs: Sequence[Run]) -> list[Run]:
    """Return the runs without the workspace, if it holds the same as the current commit."""
    by_name = {run.choice.name: run for run in runs}
    here, head = by_name.get(WORKSPACE), by_name.get(HEAD)
    if here is None or head is None:
        return list(runs)
    compared = ("parameters", "findings", "inputs", "ownership")
    same = all(getattr(here, name) == getattr(head, name) for name in compared)
    return [run for run in runs if run is not here] if same else list(runs)


def text(value: Any) -> str:
    """Return a parameter's value as text: whole numbers without a point, nothing as a dash."""
    if value is ABSENT:
        return "–"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _differing(values: Sequence[Mapping[str, Any] | None]) -> Iterator[Row]:
    """Yield what is not the same in all runs that have values."""
    names = dict.fromkeys(name for one in values if one is not None for name in one)
    for name in names:
        found = [ABSENT if one is None else one.get(name, ABSENT) for one in values]
        known = [one for one, given in zip(found, values, strict=True) if given is not None]
        if any(one != known[0] for one in known):
            yield Row(name, tuple(map(text, found)))


def _claims(runs: Sequence[Run], first: Run | None) -> Iterator[ClaimRow]:
    found = {claim for run in runs for claim in run.findings}
    ordered = [name for name in CLAIMS if name in found]
    for claim in [*ordered, *sorted(found - set(ordered))]:
        findings = [run.findings.get(claim) for run in runs]
        base = first.findings.get(claim) if first else None
        others = [None if run is first else run.findings.get(claim) for run in runs]
        yield ClaimRow(
            claim,
            tuple(findings),
            tuple(_change(base, other) for other in others),
            tuple(bool(base and other and base.verdict != other.verdict) for other in others),
            tuple(base is not None and base == other for other in others),
        )


def _change(base: Finding | None, other: Finding | None) -> Change | None:
    if base is None or other is None or base.effect is None or other.effect is None:
        return None
    return change(base.effect, other.effect)


def _sets(runs: Sequence[Run], reference: int | None) -> Iterator[SetsRow]:
    """Yield what each run's sets share with the reference's, or with the first that there are."""
    have = (place for place, run in enumerate(runs) if isinstance(run.sets, StoredSets))
    base = next(have, None) if reference is None else reference
    if base is None:
        return
    for place, run in enumerate(runs):
        if place != base:
            yield SetsRow(place, base, *_shared(runs[base], run))


def _shared(base: Run, other: Run) -> tuple[tuple[SetOverlap, ...], str]:
    """Return what the sets of two runs share, and why they are not compared."""
    a, b = base.sets, other.sets
    if isinstance(a, str):
        return (), f"{base.choice.name}: {a}"
    if isinstance(b, str):
        return (), f"{other.choice.name}: {b or other.told()}"
    try:
        return tuple(set_overlaps(a, b)), ""
    except ValueError as error:
        return (), str(error)
