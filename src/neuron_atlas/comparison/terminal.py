"""Runs side by side in a terminal."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from neuron_atlas.comparison.changes import RULE, told
from neuron_atlas.comparison.runs import Run
from neuron_atlas.comparison.side_by_side import ClaimRow, Comparison, Row, SetsRow
from neuron_atlas.neurons.relation_sets import POOLED
from neuron_atlas.pages.formats import NONE, digits, number, signed, small
from neuron_atlas.statistics.estimates import Estimate

LONGEST = 60  # characters of a value; longer ones show their end
CELL = 29  # columns of the screen that a run takes


def parts(comparison: Comparison, width: int) -> Iterator[Table | Text]:
    """Yield what a console prints.

    Control characters and other invisible ones are written out, whatever a run is called.

    Args:
        comparison: The runs.
        width: Columns of the screen. So many runs stand beside each other as fit.
    """
    yield _title("Runs")
    yield _runs(comparison)
    yield _title("What differs")
    rows = [*comparison.parameters, *comparison.known]
    for columns in _columns(range(len(comparison.runs)), [row.name for row in rows], width):
        yield _values(comparison, rows, columns)
    if comparison.inputs:
        yield _line(f"Code and files: {plain(', '.join(row.name for row in comparison.inputs))}")
    yield _title("Verdicts, and effects with 95 % intervals")
    own = [place for place, run in enumerate(comparison.runs) if run.own]
    for columns in _columns(own, [row.claim for row in comparison.claims], width):
        yield _claims(comparison, columns)
    yield _line(_marks(comparison))
    for row in comparison.sets:
        names = [plain(comparison.runs[place].choice.name) for place in (row.base, row.run)]
        yield _title(f"Relation neurons of {names[0]} and {names[1]}")
        yield _sets(row, names)


def plain(text: str) -> str:
    """Return a text with what is invisible or steers a terminal written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold", overflow="fold")


def _line(text: str) -> Text:
    return Text(text, overflow="fold")


def _cut(text: str) -> str:
    shown = plain(text)
    return shown if len(shown) <= LONGEST else f"…{shown[1 - LONGEST :]}"


def _columns(places: Sequence[int], names: Sequence[str], width: int) -> Iterator[Sequence[int]]:
    """Yield the places of as many runs as fit beside each other and the rows' names."""
    left = width - max(map(len, names), default=0)
    fit = max(1, left // CELL)
    for start in range(0, len(places) if names else 0, fit):
        yield places[start : start + fit]


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(Text(header), overflow="fold")
    return table


def _runs(comparison: Comparison) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for place, run in enumerate(comparison.runs):
        notes = [run.told(), *_notes(run)]
        if place == comparison.reference:
            notes.append("the others are compared with it")
        table.add_row(
            Text(f"  {plain(run.choice.name)}", overflow="fold"),
            Text(run.choice.rev[:7] if run.choice.rev != run.choice.name else ""),
            Text(plain("; ".join(notes)), overflow="fold"),
        )
    return table


def _notes(run: Run) -> Iterator[str]:
    """Yield what else is to be known of numbers that are a run's own."""
    about = run.ownership
    if run.own and about.changed_inputs:
        yield f"{len(about.changed_inputs)} folders or files of code have changed since"
    if run.own and (about.by_size or about.unchecked):
        n = len(about.by_size) + len(about.unchecked)
        yield f"{n} folders or files compared by size or not at all, for want of a cache"


def _names(comparison: Comparison, columns: Sequence[int]) -> list[str]:
    return [plain(comparison.runs[place].choice.name) for place in columns]


def _values(comparison: Comparison, rows: Sequence[Row], columns: Sequence[int]) -> Table:
    table = _table("", *_names(comparison, columns))
    for row in rows:
        table.add_row(Text(_cut(row.name)), *(Text(_cut(row.values[c])) for c in columns))
    return table


def _claims(comparison: Comparison, columns: Sequence[int]) -> Table:
    table = _table("", *_names(comparison, columns))
    for row in comparison.claims:
        table.add_row(Text(plain(row.claim)), *(_claim(row, place) for place in columns))
    return table


def _claim(row: ClaimRow, place: int) -> Text:
    """Return the verdict, the effect and how much it changed, one below the other."""
    finding, change = row.findings[place], row.changes[place]
    if finding is None or row.same[place]:
        return Text("the same" if finding else NONE, style="dim")
    word = plain(finding.verdict)
    lines = [f"{word} (new)" if row.new_words[place] else word]
    if finding.effect is not None:
        lines.append(_interval(finding.effect))
    if change is not None:
        lines.append(f"Δ {told(change.difference)}")
    if change is not None and change.beyond:
        lines.append(f"* beyond by {small(change.beyond)}")
        return Text("\n".join(lines), style="bold")
    return Text("\n".join(lines))


def _interval(estimate: Estimate) -> str:
    n = digits([estimate.mean, estimate.low, estimate.high])
    return f"{signed(estimate.mean, n)} [{signed(estimate.low, n)}, {signed(estimate.high, n)}]"


def _marks(comparison: Comparison) -> str:
    """Say how many changes are marked, and by which rule."""
    if comparison.reference is None:
        return "No run has numbers of its own."
    if not comparison.n_compared:
        return "No effect differs."
    marked = f"{comparison.n_beyond} of {comparison.n_compared} effects that differ changed beyond"
    return f"{marked} their intervals (*). {RULE}"


def _sets(row: SetsRow, names: Sequence[str]) -> Table | Text:
    """Return what the pooled sets share, or why that is not known."""
    if row.absent or row.same:
        return _line(f"  {plain(row.absent) or 'all sets are the same'}")
    table = _table("relation", *names, "shared", "Jaccard", "by chance")
    for one in row.overlaps:
        if one.source == POOLED:
            found = (str(one.sizes[0]), str(one.sizes[1]), str(one.shared))
            shares = (number(one.jaccard), number(one.chance, 3))
            table.add_row(Text(plain(one.relation)), *map(Text, (*found, *shares)))
    return table
