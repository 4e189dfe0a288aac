"""`make quick`: settings that pass the checks, and a working copy that stays as it was."""

import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

import quick
from neuron_atlas.checks import parameters, sections
from neuron_atlas.pipeline import params
from repository import knobs

ROOT = Path(__file__).parents[1]
SETTINGS = params.read_yaml(quick.SETTINGS)
SHIPPED = params.read_yaml(ROOT / "params.yaml")
PROGRAM = """\
import json, pathlib
from ruamel.yaml import YAML
facts = YAML(typ="safe").load(pathlib.Path("params.yaml"))["facts"]
for name in ("index.html", "facts.html"):
    pathlib.Path("report").mkdir(exist_ok=True)
    pathlib.Path("report", name).write_text(str(facts["relations"]))
pathlib.Path("metrics").mkdir(exist_ok=True)
effects = {"within": {"mean": -1.25}, "random": {"mean": -0.5}}
pathlib.Path("metrics/summary.json").write_text(json.dumps({"interference": effects}))
"""
STAGE = {
    "cmd": f'"{sys.executable}" program.py',
    "params": ["languages", "facts"],
    "outs": ["report", {"metrics/summary.json": {"cache": False}}],
}


def test_its_settings_pass_the_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "params.yaml"
    copy.write_bytes((ROOT / "params.yaml").read_bytes())
    apply_overrides(copy, quick.overrides(SETTINGS, SHIPPED["languages"]))
    monkeypatch.chdir(ROOT)
    parameters.check(copy)
    values = sections.load(copy)
    assert params.load_languages(copy) == tuple(SETTINGS["languages"])
    assert (len(SETTINGS["languages"]), len(values["facts"]["relations"])) == (3, 4)
    given = {name: part for name, part in SETTINGS.items() if name != "languages"}
    for name, value in knobs(given):
        section, *keys = name.split(".")
        found = values[section]
        for key in keys:
            found = found[key]
        assert found == value, name


def test_languages_that_are_missing_are_added() -> None:
    words = quick.overrides({"languages": ["en", "fr"]}, {"en": {}, "zh": {}})
    assert words == ["~languages.zh", "+languages.fr={}"]


def test_without_right_answers_no_effect_is_told() -> None:
    assert "-1.00" in quick.finding({"within": {"mean": -1.0}, "random": {"mean": 0.0}})
    assert "too few relations" in quick.finding({"across": {"mean": -1.0}})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with our parameters and one stage, which writes what the command reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / ".site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    YAML().dump(SHIPPED, Path("params.yaml"))
    YAML().dump({"stages": {"report": STAGE}}, Path("dvc.yaml"))
    Path("program.py").write_text(PROGRAM)
    Path(".gitignore").write_text("/.work/\n/.site/\n/report/\n")
    git("init", "--quiet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")
    return tmp_path


def git(*words: str) -> str:
    name = ["-c", "user.name=A", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *name, *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_working_copy_stays_as_it_was(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("program.py").open("a") as program:  # a change that is not committed counts too
        program.write("pathlib.Path('report/index.html').write_text('changed')\n")
    before = {file: file.read_bytes() for file in Path().glob("*.*") if file.is_file()}
    for _ in range(2):
        quick.main()
        said = capsys.readouterr().out
        assert "-1.25 nats on average; random neurons that push as hard, by -0.50" in said
        assert "too few to decide anything" in said
        assert said.endswith(f"The page: {quick.OUT / 'index.html'}\n")
    assert (workspace / quick.OUT / "index.html").read_text() == "changed"
    relations = (workspace / quick.OUT / "facts.html").read_text()
    assert relations == str(SETTINGS["facts"]["relations"])
    assert git("status", "--porcelain") == " M program.py\n"
    assert not [name for name in ("dvc.lock", "metrics", "report") if Path(name).exists()]
    assert {file: file.read_bytes() for file in before} == before
    with Repo() as repo:
        names = [name for found in repo.experiments.ls().values() for name, _ in found]
    assert names == ["quick"]
