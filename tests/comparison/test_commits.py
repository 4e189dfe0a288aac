"""Commits, experiments and the workspace of a real repository with a small pipeline."""

import json
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from neuron_atlas.comparison.choice import choices
from neuron_atlas.comparison.compare import compare
from neuron_atlas.comparison.ownership import Ownership, of_workspace
from neuron_atlas.comparison.runs import Run
from neuron_atlas.comparison.side_by_side import Comparison
from once import once
from repository import run, tried
from small_pipeline import commit, made, restored

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's


def experiments(folder: Path) -> None:
    """Make the repository, with experiments of every kind."""
    made(folder)
    run(folder, "dvc", "exp", "run", "-q", "-n", "whole", "-S", "relation_neurons.k=5")
    restored(folder)
    stopped = ("-n", "stopped", "-S", "relation_neurons.k=4", "relation_neurons")
    run(folder, "dvc", "exp", "run", "-q", *stopped)
    restored(folder)
    run(folder, "dvc", "exp", "run", "-q", "-n", "page", "-S", "report.title=New")
    restored(folder)
    run(folder, "dvc", "exp", "run", "--queue", "-q", "-n", "broken", "-S", "cells.fail=true")
    tried(folder, "dvc", "exp", "run", "-q", "--run-all")  # as the one that is to fail does
    run(folder, "dvc", "queue", "stop", "--kill", "-q")
    run(folder, "dvc", "exp", "run", "--queue", "-q", "-n", "later", "-S", "relation_neurons.k=9")


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "small_pipeline", experiments)


@pytest.fixture
def folder(origin: Path, tmp_path: Path) -> Path:
    """A copy of the repository, to change."""
    return Path(shutil.copytree(origin, tmp_path / "copy", symlinks=True))


def by_name(found: Comparison) -> dict[str, Run]:
    return {one.choice.name: one for one in found.runs}


@pytest.fixture(scope="module")
def everything(origin: Path) -> Comparison:
    return compare((), origin)


def test_without_names_all_that_belongs_to_the_commit_is_compared(everything: Comparison) -> None:
    """The workspace is not, since it holds the same as the commit."""
    names = [one.choice.name for one in everything.runs]
    assert names[0] == "HEAD"
    assert sorted(names[1:]) == ["broken", "later", "page", "stopped", "whole"]
    states = {name: one.choice.state for name, one in by_name(everything).items()}
    assert (states["broken"], states["later"], states["whole"]) == ("failed", "queued", "finished")


def test_whose_numbers_each_run_has(everything: Comparison) -> None:
    found = by_name(everything)
    assert {name for name, one in found.items() if one.own} == {"HEAD", "whole", "page"}
    assert found["stopped"].told() == (
        "from another run: stopped before cells@en (it read another data/relation_neurons/en)"
    )
    assert found["stopped"].findings == {}
    assert found["broken"].told() == "failed, without numbers: `dvc queue logs broken`"
    assert found["later"].told() == "queued, without numbers"
    assert found["whole"].ownership == Ownership()


def test_the_numbers_of_a_stopped_run_are_the_committed_ones(origin: Path) -> None:
    """Positive control: git does hold numbers for it, and they are of other parameters."""
    texts = [run(origin, "git", "show", f"{rev}:metrics/summary.json") for rev in ("HEAD",)]
    rev = by_name(compare(("HEAD", "stopped"), origin))["stopped"].choice.rev
    texts.append(run(origin, "git", "show", f"{rev}:metrics/summary.json"))
    assert texts[0] == texts[1]


def test_the_planted_change_is_found(everything: Comparison) -> None:
    """The effect is -0.1 k with 0.05 on both sides: beyond what is allowed by 0.2 - 0.0707."""
    place = [one.choice.name for one in everything.runs].index("whole")
    (row,) = [row for row in everything.claims if row.claim == "interference"]
    found = row.changes[place]
    assert found is not None
    assert found.size == "beyond"
    assert found.difference.mean == pytest.approx(-0.2)
    assert found.beyond == pytest.approx(-0.2 + 0.05 * 2**0.5)
    assert everything.n_beyond == 1
    page = [one.choice.name for one in everything.runs].index("page")
    assert all(row.same[page] for row in everything.claims)


def test_sets_come_from_the_cache_also_those_of_a_stopped_run(everything: Comparison) -> None:
    names = [one.choice.name for one in everything.runs]
    shared = {names[row.run]: row for row in everything.sets}
    (capital, currency) = shared["stopped"].overlaps[:2]
    assert (capital.relation, capital.sizes, capital.shared) == ("capital", (3, 4), 3)
    assert currency.jaccard == 3 / 4
    assert shared["page"].same
    assert "queued" in shared["later"].absent


def test_parameters_that_differ_are_told_of_every_run(everything: Comparison) -> None:
    rows = {row.name: row.values for row in everything.parameters}
    names = [one.choice.name for one in everything.runs]
    assert dict(zip(names, rows["relation_neurons.k"], strict=True)) == {
        **{"HEAD": "3", "whole": "5", "stopped": "4", "page": "3", "broken": "3", "later": "9"}
    }
    assert set(rows) == {"relation_neurons.k", "report.title", "cells.fail"}


def test_nothing_is_changed_by_comparing(folder: Path) -> None:
    compare((), folder)
    assert run(folder, "git", "status", "--porcelain") == ""
    assert json.loads(run(folder, "dvc", "status", "--json")) == {}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("HEAD", "nothing-of-the-kind"), "'nothing-of-the-kind' is not known.*whole"),
        (("HEAD", ""), "is not known"),
        (("HEAD", "HEAD"), "two or more runs, got HEAD alone"),
    ],
)
def test_names_that_do_not_do(origin: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(names, origin)


def test_a_commit_without_experiments_says_so(folder: Path) -> None:
    commit_of_a_comment(folder)
    with pytest.raises(ValueError, match="no experiment was made from this commit"):
        compare((), folder)
    found = by_name(compare(("HEAD~1", "HEAD", "whole"), folder))
    assert found["HEAD"].own
    assert found["whole"].choice.experiment


def commit_of_a_comment(folder: Path) -> None:
    with (folder / "params.yaml").open("a") as file:
        file.write("# a comment\n")
    commit(folder, "Comment")


def test_a_commit_before_the_first_run_has_no_numbers(origin: Path) -> None:
    found = by_name(compare(("HEAD~1", "HEAD"), origin))["HEAD~1"]
    assert found.told() == "from another run: stopped before model (it has not run)"


def test_a_folder_without_a_repository_is_told(tmp_path: Path) -> None:
    for call in (lambda: compare((), tmp_path), lambda: of_workspace(tmp_path)):
        with pytest.raises(ValueError, match=r"not .*DVC repository|not inside of a DVC"):
            call()


def test_the_workspace_after_a_run_is_its_own(origin: Path) -> None:
    assert of_workspace(origin) == Ownership()


def params_of(folder: Path, old: str, new: str) -> None:
    file = folder / "params.yaml"
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new))


def test_the_workspace_after_a_parameter_was_set(folder: Path) -> None:
    params_of(folder, "spread: 0.05", "spread: 0.06")
    found = of_workspace(folder)
    assert (
        found.told()
        == "from another run: stopped before cells@en (it ran with another cells.spread)"
    )
    assert found.current("relation_neurons")
    assert not found.current("report")


def test_a_parameter_that_no_stage_reads_changes_nothing(folder: Path) -> None:
    params_of(folder, "shown: 2", "shown: 3")
    assert of_workspace(folder).own


def test_the_workspace_after_a_language_was_added(folder: Path) -> None:
    params_of(folder, "  fr: {}", "  fr: {}\n  it: {}")
    assert of_workspace(folder).stopped_before == "relation_neurons"


def test_the_workspace_after_a_run_that_failed(folder: Path) -> None:
    params_of(folder, "k: 3", "k: 7")
    params_of(folder, "fail: false", "fail: true")
    assert tried(folder, "dvc", "repro", "-q").returncode
    assert of_workspace(folder).stopped_before == "cells@en"


def test_metrics_that_the_stage_did_not_write_are_not_its_own(folder: Path) -> None:
    file = folder / "metrics" / "summary.json"
    file.write_text(file.read_text().replace("0.3", "0.9"))
    found = of_workspace(folder)
    assert found.told() == (
        "from another run: stopped before report (metrics/summary.json is not what it wrote)"
    )
    commit(folder, "By hand")
    assert by_name(compare(("HEAD~1", "HEAD"), folder))["HEAD"].ownership == found
    file.unlink()
    assert of_workspace(folder).behind == found.behind


def test_a_page_of_another_commit_is_not_the_workspaces_own(folder: Path) -> None:
    page = folder / "report" / "index.html"
    content = page.read_text()
    page.unlink()
    assert of_workspace(folder).own  # a page that is not there shows nobody's numbers
    page.write_text(f"{content} ")
    assert of_workspace(folder).behind == {"report": "report/index.html is not what it wrote"}


def test_changed_code_is_told_and_keeps_the_numbers(folder: Path) -> None:
    with (folder / "work.py").open("a") as file:
        file.write("# a comment\n")
    found = of_workspace(folder)
    assert (found.own, found.changed_inputs) == (True, ("work.py",))
    commit(folder, "Code")
    assert by_name(compare(("HEAD~1", "HEAD"), folder))["HEAD"].ownership == found


def test_without_a_cache_numbers_are_compared_and_sets_are_told_to_be_missing(
    folder: Path,
) -> None:
    shutil.rmtree(folder / ".dvc" / "cache")
    found = compare(("HEAD", "whole", "stopped"), folder)
    assert [one.own for one in found.runs] == [True, True, False]
    assert found.n_beyond == 1
    about = found.runs[0].ownership
    assert about.by_size == ("data/cells",)
    assert set(about.unchecked) == {
        "data/model/provenance.json",
        *(f"data/relation_neurons/{code}" for code in ("en", "fr")),
    }
    assert "`dvc fetch --all-commits data/relation_neurons` fetches it" in found.sets[0].absent
    # With the cells that read a part of the sets unseen, what reads the whole tells.
    assert found.runs[2].ownership.stopped_before == "report"


def test_a_repository_whose_lock_was_cut_off_says_what_mends_it(folder: Path) -> None:
    lock = folder / "dvc.lock"
    lock.write_text(lock.read_text()[:300] + "\n  : [")
    with pytest.raises(ValueError, match="make mend"):
        of_workspace(folder)
    told = by_name(compare(("HEAD", "workspace"), folder))["workspace"].told()
    assert "make mend" in told
    assert "\n" not in told


def test_metrics_of_another_shape_are_told(folder: Path) -> None:
    (folder / "work.py").write_text(
        (folder / "work.py").read_text().replace('{"verdicts": verdicts,', '{"verdicts": [],')
    )
    run(folder, "dvc", "repro", "-q")
    found = by_name(compare(("HEAD", "workspace"), folder))["workspace"]
    assert "metrics/summary.json is not what the stage report writes" in found.told()
    assert not found.own


def test_of_two_experiments_of_one_name_that_of_this_commit_is_meant(folder: Path) -> None:
    """And if neither is of this commit, they have to be told apart by their commits."""
    commit_of_a_comment(folder)
    run(folder, "dvc", "exp", "run", "-q", "-n", "whole", "-S", "relation_neurons.k=6")
    restored(folder)
    assert (
        by_name(compare(("HEAD", "whole"), folder))["whole"].parameters["relation_neurons.k"] == 6
    )
    commit_of_a_comment(folder)
    with pytest.raises(ValueError, match="'whole' has several meanings"):
        compare(("HEAD", "whole"), folder)


def test_a_failed_run_is_found_by_name(origin: Path) -> None:
    with Repo(str(origin)) as repo:
        (found,) = choices(repo, ["broken"])
    assert (found.state, found.experiment) == ("failed", True)
