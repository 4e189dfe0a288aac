"""Results travel through a folder, SSH and S3: whole, in part, and without being made again."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import remotes
import servers
from remotes import Remote, connect_as
from repository import FEWER, Clone, cloned, ran, run, tried

MEASURED = ("interference", "sufficiency", "other_selectors")  # of the section interference
JOINS = {"transfer", "effects"}
CHANGES = {  # parameter, its new value, the stages that depend on it
    "local": (
        "interference",
        "n_draws",
        3,
        {*(f"{name}@{c}" for c in FEWER for name in MEASURED), *JOINS},
    ),
    "ssh": ("effects", "negligible", 0.001, {"effects"}),
    "s3": ("knowledge", "n_resamples", 120, {"knowledge"}),
}
ALWAYS = {"check", "report"}  # they depend on every parameter, or on every result


@dataclass(frozen=True)
class Pushed:
    """A repository all of whose results were pushed to a remote of some kind."""

    kind: str
    remote: Remote
    folder: Path


@pytest.fixture(scope="module", params=sorted(CHANGES))
def pushed(
    request: pytest.FixtureRequest,
    origin: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ssh: servers.Ssh,
    s3: servers.S3,
) -> Pushed:
    place = tmp_path_factory.mktemp("pushed")
    remote = {
        "local": remotes.local(place / "remote"),
        "ssh": remotes.ssh(ssh, "results"),
        "s3": remotes.s3(s3, "results"),
    }[request.param]
    folder = remote.connect(cloned(origin, place / "a", cache="own"))
    run(folder, "dvc", "push", "--run-cache", **remote.variables)
    return Pushed(request.param, remote, folder)


def change(folder: Path, section: str, name: str, value: float) -> None:
    """Set one parameter in params.yaml."""
    yaml = YAML()
    values = yaml.load(folder / "params.yaml")
    assert values[section][name] != value
    values[section][name] = value
    yaml.dump(values, folder / "params.yaml")


def test_nothing_runs_where_everything_was_pulled(pushed: Pushed, clone: Clone) -> None:
    folder = connect_as(pushed.folder, clone("b"))
    assert not (folder / "report").exists()
    run(folder, "dvc", "pull", "--run-cache", **pushed.remote.variables)
    assert not ran(run(folder, "dvc", "repro"))
    page = "report/index.html"
    assert (folder / page).read_bytes() == (pushed.folder / page).read_bytes()


def test_one_change_runs_what_depends_on_it_alone(pushed: Pushed, clone: Clone) -> None:
    folder = connect_as(pushed.folder, clone("c"))
    section, name, value, stages = CHANGES[pushed.kind]
    change(folder, section, name, value)
    assert ran(run(folder, "dvc", "repro", "--pull", **pushed.remote.variables)) == stages | ALWAYS
    if pushed.kind == "ssh":
        run(folder, "dvc", "push", "--run-cache", **pushed.remote.variables)
        other = connect_as(pushed.folder, clone("e"))
        change(other, section, name, value)
        again = ran(run(other, "dvc", "repro", "--pull", **pushed.remote.variables))
        assert again == {"report"}  # its metrics are git's, so the run-cache has no copy


def test_the_page_comes_without_the_weights(pushed: Pushed, clone: Clone) -> None:
    folder = connect_as(pushed.folder, clone("d"))
    run(folder, "dvc", "pull", "report", **pushed.remote.variables)
    assert (folder / "report" / "index.html").is_file()
    assert not (folder / "data" / "model").exists()
    assert size(folder) < 0.5 * size(pushed.folder)
    dry = ("dvc", "repro", "--allow-missing", "--dry")
    assert "Data and pipelines are up to date." in run(folder, *dry)
    change(folder, "report", "top_neurons", 5)
    assert "Data and pipelines are up to date." not in tried(folder, *dry).stdout
    assert not (folder / "data" / "model").exists()


def size(folder: Path) -> int:
    """Return the bytes of a repository's cache."""
    return sum(f.stat().st_size for f in (folder / ".dvc" / "cache").rglob("*") if f.is_file())
