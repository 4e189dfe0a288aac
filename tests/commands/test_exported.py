"""The command `export`: where it writes, and what it refuses."""

from pathlib import Path

import pytest

from asked_commands import Found, Said
from neuron_atlas.comparison import ownership
from neuron_atlas.comparison.ownership import Ownership


def test_an_export_has_licences_and_is_never_overwritten(
    say: Said, find: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = find("export", "--format", "csv")
    assert found["folder"] == "neuron-atlas-csv"
    assert found["licences"]["model"] == "Gemma Terms of Use"
    assert found["rows"]["neurons"] == 4
    before = (tmp_path / "neuron-atlas-csv/sets.csv").read_bytes()
    again = say("export", "--format", "csv")
    assert again.exit_code == 1
    assert "neuron-atlas-csv is there already; name another folder with --out" in again.stderr
    assert (tmp_path / "neuron-atlas-csv/sets.csv").read_bytes() == before


def test_a_data_set_is_ready_for_the_hub(say: Said, tmp_path: Path) -> None:
    out = tmp_path / "new" / "atlas"
    shown = say("export", "--format", "hf", "--out", str(out))
    assert shown.exit_code == 0, shown.stderr
    assert f"hf upload USER/NAME {out} --repo-type dataset" in shown.stdout
    assert (out / "README.md").read_text(encoding="utf-8").startswith("---\n")
    assert sorted(p.name for p in out.iterdir()) == [
        *("README.md", "data", "provenance.json", "verdicts.json"),
    ]


def test_another_run_s_verdicts_are_not_exported(
    say: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are beside newer sets, after an experiment that stopped early."""
    stopped = Ownership({"report": "its code has changed"})
    monkeypatch.setattr(ownership, "of_workspace", lambda _: stopped)
    shown = say("export", "--format", "csv", "--out", str(tmp_path / "atlas"))
    assert shown.exit_code == 0, shown.stderr
    assert "warning: these results are from another run: stopped before report" in shown.stderr
    assert not (tmp_path / "atlas" / "verdicts.json").exists()
