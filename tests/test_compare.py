"""Experiments side by side: what differs, every verdict, and lines that fit a terminal."""

from typing import Any

import compare

SECTIONS = ("sets", "model")


def experiment(name: str | None, rev: str, **values: Any) -> dict[str, Any]:
    """An experiment as `dvc.api.exp_show` returns it, with a claim, two parameters and a dep."""
    given = {"State": None, "word": "supported", "effect": -0.123456, "k": 100.0} | values
    return {
        "Experiment": name,
        "rev": rev,
        "State": given["State"],
        "metrics/verdicts/interference.json:effect": given["effect"],
        "metrics/verdicts/interference.json:low": -0.2,
        "metrics/verdicts/interference.json:verdict": given["word"],
        "sets.k": given["k"],
        "model.source": given.get("source", "pypi:a"),
        "data/model": f"digest of {rev}",
    }


HEAD = experiment(None, "main")
WORKSPACE = HEAD | {"rev": "workspace"}


def test_what_differs_and_every_verdict_by_hand() -> None:
    other = experiment("large", "1234567", k=200.0, effect=-0.5, word="undecided")
    found = compare.table([WORKSPACE, HEAD, other], SECTIONS)
    assert found.to_dict() == {
        "main": {"sets.k": "100", "interference": "-0.123 supported"},
        "large": {"sets.k": "200", "interference": "-0.5 undecided"},
    }


def test_a_workspace_of_its_own_is_shown() -> None:
    changed = experiment(None, "workspace", k=3.0)
    assert list(compare.table([changed, HEAD], SECTIONS)) == ["workspace", "main"]
    assert list(compare.table([HEAD], SECTIONS)) == ["main"]


def test_what_was_not_measured_is_a_dash() -> None:
    queued = experiment(None, "abc", State="Queued", effect=None, word=None)
    untestable = experiment("few", "bcd", effect=None, word="untestable")
    found = compare.table([WORKSPACE, HEAD, queued, untestable], SECTIONS)
    assert dict(found.loc["interference"]) == {
        "main": "-0.123 supported",
        "abc": "-",
        "few": "- untestable",
    }
    assert dict(found.loc["state"]) == {"main": "-", "abc": "Queued", "few": "-"}


def test_a_claim_that_is_untestable_everywhere_keeps_its_row() -> None:
    """DVC then knows no effect of it at all."""
    name = "metrics/verdicts/interference.json:effect"
    runs = [
        experiment(None, "main", word="untestable"),
        experiment("few", "b", k=50.0, word="untestable"),
    ]
    found = compare.table([{k: v for k, v in r.items() if k != name} for r in runs], SECTIONS)
    assert list(found.loc["interference"]) == ["- untestable", "- untestable"]


def test_many_experiments_and_long_values_fit_a_terminal() -> None:
    long = [
        experiment(f"unlucky-name-of-{n}", str(n), k=float(n), source=f"path:/{'folder/' * 40}{n}")
        for n in range(12)
    ]
    text = compare.table([WORKSPACE, HEAD, *long], SECTIONS).to_string(line_width=120)
    assert max(map(len, text.splitlines())) <= 120
    assert all(f"unlucky-name-of-{n}" in text and f"folder/{n}" in text for n in range(12))
