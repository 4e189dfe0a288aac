"""Runs side by side in a terminal: lines that fit, every name, and no control characters."""

from io import StringIO

import pytest
from rich.console import Console

from made_runs import STOPPED, finding, made_run, sets
from neuron_atlas.comparison.runs import Run
from neuron_atlas.comparison.side_by_side import side_by_side
from neuron_atlas.comparison.terminal import parts, plain

HOSTILE = "\x1b]0;owned\x07\x1b[31m[bold]red[/bold]\u202e\u2066:smile:"


def printed(runs: list[Run], width: int = 120) -> str:
    console = Console(file=StringIO(), width=width, markup=False, highlight=False, emoji=False)
    for part in parts(side_by_side(runs), width):
        console.print(part)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_change_is_marked_and_the_rule_is_told() -> None:
    other = made_run("b", findings={"interference": finding(0.9, word="supported")})
    shown = printed([made_run("a"), other])
    assert "supported (new)" in shown
    assert "Δ +0.6 [+0.46, +0.74]" in shown
    assert "* beyond by +0.46" in shown
    assert "1 of 1 effects that differ changed beyond" in shown
    assert "independent" in shown


def test_the_same_runs_show_no_mark() -> None:
    shown = printed([made_run("a"), made_run("b")])
    assert "No effect differs." in shown
    assert "beyond by" not in shown
    assert "all sets are the same" in shown


def test_a_stopped_run_is_marked_and_shows_no_number() -> None:
    stale = made_run("stopped", ownership=STOPPED, findings={}, known={}, sets="")
    shown = printed([made_run("a"), stale])
    assert "from another run: stopped before effects" in shown
    verdicts = shown.partition("Verdicts, and")[2].partition("Relation neurons")[0]
    assert "stopped" not in verdicts


def test_sets_are_shown_beside_chance() -> None:
    shown = printed([made_run("a"), made_run("b", sets=sets(2, 3, 4, 5))])
    (line,) = [line for line in shown.splitlines() if line.startswith("capital")]
    assert line.split() == ["capital", "3", "4", "2", "0.40", "0.020"]


@pytest.mark.parametrize("width", [60, 120])
def test_many_runs_and_long_values_fit(width: int) -> None:
    runs = [
        made_run(
            f"unlucky-name-of-{n}",
            parameters={"model.source": f"path:/{'folder/' * 40}{n}"},
            findings={"interference": finding(0.1 * n)},
        )
        for n in range(12)
    ]
    shown = printed(runs, width)
    assert max(map(len, shown.splitlines())) <= width
    assert all(f"unlucky-name-of-{n}" in shown for n in range(12))
    assert all(f"/{n}" in shown.replace("\n", "") for n in range(12))


def test_whatever_a_run_is_called_stays_text() -> None:
    stale = made_run(HOSTILE, parameters={HOSTILE: HOSTILE}, inputs={HOSTILE: "1"}, sets=HOSTILE)
    shown = printed([made_run("a"), stale])
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert plain(HOSTILE) in shown
    assert "[bold]red[/bold]" in shown
    assert ":smile:" in shown


def test_plain_keeps_the_texts_of_all_scripts() -> None:
    assert plain("北京 القاهرة é") == "北京 القاهرة é"
    assert plain("a\x1bb\u202e") == "a\\x1bb\\u202e"
