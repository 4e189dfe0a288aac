"""The page of runs side by side: what it says, and that names and values stay text."""

import re
from pathlib import Path

from made_runs import STOPPED, finding, made_run, sets
from neuron_atlas.comparison import page
from neuron_atlas.comparison.compare import write_page
from neuron_atlas.comparison.runs import Run
from neuron_atlas.comparison.side_by_side import side_by_side

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&{{7*7}}\"'"


def rendered(runs: list[Run]) -> str:
    return page.render(side_by_side(runs))


def without_scripts(text: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.DOTALL)


def words(text: str) -> str:
    """Return what is between the tags, without scripts and styles, with single spaces."""
    return " ".join(re.sub(r"<[^>]*>", " ", without_scripts(text)).split())


def test_a_change_is_told_with_its_interval_and_drawn() -> None:
    other = made_run("b", findings={"interference": finding(0.9, word="supported")})
    text = rendered([made_run("a"), other])
    told = words(text)
    assert "Of 1 effects that differ from those of a , 1 changed beyond their intervals." in told
    assert "Interference , b : +0.6 [+0.46, +0.74] nats, beyond by +0.46." in told
    assert "supported new" in told
    assert text.count('data-chart="chart-') == 1
    assert "b supported 0.9 0.8 1" in told


def test_the_same_runs_have_no_change_and_no_chart() -> None:
    text = rendered([made_run("a"), made_run("b")])
    assert "0 changed beyond" in words(text)
    assert "data-chart=" not in text
    assert "All 2 sets are the same." in text


def test_a_stopped_run_is_marked_and_shows_no_number() -> None:
    stale = made_run("halted", ownership=STOPPED, findings={}, known={}, sets="")
    told = words(rendered([made_run("a"), stale]))
    assert "halted 000000000 from another run: stopped before effects" in told
    verdicts = told.rpartition("Verdicts and effects")[2].partition("Parameters that differ")[0]
    assert "Interference" in verdicts
    assert "halted" not in verdicts


def test_without_any_numbers_there_is_a_page_all_the_same() -> None:
    runs = [made_run(name, ownership=STOPPED, findings={}, known={}, sets="") for name in "ab"]
    told = words(rendered(runs))
    assert "No run has numbers of its own." in told
    assert "No run’s relation neurons are in the cache." in told


def test_sets_are_shown_beside_chance_and_those_of_languages_apart() -> None:
    told = words(rendered([made_run("a"), made_run("b", sets=sets(2, 3, 4, 5))]))
    assert "capital pooled 3 4 2 0.40 0.020" in told
    assert "By language" in told


def test_names_and_values_stay_text() -> None:
    other = made_run(
        HOSTILE,
        parameters={HOSTILE: HOSTILE},
        inputs={HOSTILE: HOSTILE},
        findings={HOSTILE: finding(0.1, word=HOSTILE), "interference": finding(9.0)},
        known={HOSTILE: (1, 2)},
        sets=HOSTILE,
    )
    whole = rendered([made_run("a"), other])
    assert "<script>alert" not in whole
    text = without_scripts(whole)
    assert "<img" not in text
    assert "49" not in text
    assert text.count("&lt;/script&gt;&lt;script&gt;alert(1)") > 5


def test_the_same_runs_give_the_same_bytes_in_a_file_that_is_written_whole(tmp_path: Path) -> None:
    found = side_by_side([made_run("a"), made_run("b", findings={"interference": finding(0.9)})])
    for name in ("one.html", "two.html"):
        write_page(found, tmp_path / "report" / name)
    one, two = (tmp_path / "report" / name for name in ("one.html", "two.html"))
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in one.parent.iterdir()) == ["one.html", "two.html"]
