"""Neuron sets by name and version, fetched from another repository as docs/artifacts.md says."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from repository import ROOT, run, tried

DOC = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")
ARTIFACTS = YAML(typ="safe").load(ROOT / "dvc.yaml")["artifacts"]
FOUND = {  # a file of each artifact, below its folder
    "relation-neurons": ("sets.parquet", "summary.json", "en/sets.parquet", "pooled/sets.parquet"),
    "language-neurons": ("sets.parquet", "summary.json"),
    "degenerate-neurons": ("en/sets.parquet", "fr/sets.parquet", "en/meta.json"),
}
LIBRARY = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n"  # as if it were installed
CHECK = """
import json, torch
sizes = {}
for layer, part in enumerate(lm.blocks):
    def keep(module, inputs, output, layer=layer):
        sizes[layer] = inputs[0].abs().amax((0, 1))
    part.mlp.down_proj.register_forward_hook(keep)
ids = torch.tensor([[1, 5, 9, 30]])
with torch.no_grad():
    clean = lm.network(ids).logits
    with na.switched_off(lm, sets["capital"]):
        changed = lm.network(ids).logits - clean
off = [float(sizes[neuron.layer][neuron.index]) for neuron in sets["capital"]]
n_on = sum(int((size > 0).sum()) for size in sizes.values())
chosen = [[neuron.layer, neuron.index] for neuron in sets["capital"]]
found = {"off": off, "n_on": n_on, "changed": float(changed.abs().max()), "chosen": chosen}
print(json.dumps(found))
"""


def block(kind: str, heading: str) -> str:
    """The first code of a kind below a heading of the page."""
    found = re.search(rf"\n## {heading}\n.*?```{kind}\n(.*?)```", DOC, re.DOTALL)
    assert found is not None
    return found[1]


def shell(folder: Path, text: str, repository: Path) -> None:
    """Run the lines of a page's shell code, for a repository."""
    for line in text.strip().splitlines():
        words = line.partition("  #")[0].replace("<repository>", str(repository)).split()
        run(folder, *words)


def k_of(folder: Path) -> int:
    return int(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["k"])


def tag(folder: Path, name: str) -> None:
    run(folder, "git", "tag", "-a", name, "-m", "A version")


@pytest.fixture(scope="module")
def published(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two versions of the relation neurons, its data on its remote alone."""
    place = tmp_path_factory.mktemp("published")
    folder = place / "atlas"
    run(place, "git", "clone", "-q", str(origin), "atlas")
    run(folder, "dvc", "cache", "dir", "--local", str(origin / ".dvc" / "cache"))
    run(folder, "dvc", "checkout")
    run(folder, "dvc", "push")
    for name in ARTIFACTS:
        tag(folder, f"{name}@v1.0.0")
    params = YAML().load(folder / "params.yaml")
    params["relation_neurons"]["k"] = 6
    YAML().dump(params, folder / "params.yaml")
    run(folder, "dvc", "repro", "relation_neurons")
    run(folder, "git", "commit", "-q", "-am", "Smaller sets")
    run(folder, "dvc", "push", "relation_neurons")
    tag(folder, "relation-neurons@v1.1.0")
    (folder / ".dvc" / "config.local").unlink()
    assert not (folder / ".dvc" / "cache" / "files").exists()
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A repository of somebody else."""
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q")
    return tmp_path


def test_artifacts_are_outputs_with_a_type_a_description_and_labels() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    every = [out for stage in stages.values() for out in stage["outs"]]
    names = [next(iter(out)) if isinstance(out, dict) else out for out in every]
    outs = {name.removesuffix("/${item.language}") for name in names}
    assert set(ARTIFACTS) == set(FOUND) == set(re.findall(r"^\| `([a-z-]+)` \|", DOC, re.MULTILINE))
    for name, artifact in ARTIFACTS.items():
        assert set(artifact) == {"path", "type", "desc", "labels"}
        assert artifact["path"] in outs
        assert f"| `{name}` | `{artifact['path']}`" in DOC


@pytest.mark.parametrize("name", ARTIFACTS)
def test_every_artifact_is_fetched_by_its_name_and_version(
    published: Path, origin: Path, other: Path, name: str
) -> None:
    run(other, "dvc", "artifacts", "get", str(published), name, "--rev", "v1.0.0")
    path = Path(ARTIFACTS[name]["path"])
    for file in FOUND[name]:
        got = (other / path.name / file).read_bytes()
        assert got == (origin / path / file).read_bytes(), file


def test_a_version_stays_what_it_was_and_the_newest_is_the_default(
    published: Path, other: Path
) -> None:
    get = ("dvc", "artifacts", "get", str(published), "relation-neurons")
    run(other, *get, "--rev", "v1.0.0", "-o", "old")
    run(other, *get, "-o", "new")
    run(other, "dvc", "get", str(published), "data/relation_neurons", "--rev", "HEAD~1", "-o", "c")
    assert [k_of(other / name) for name in ("old", "new", "c")] == [8, 6, 8]


@pytest.mark.parametrize("words", [["relation-neurons", "--rev", "v9.0.0"], ["no-such-neurons"]])
def test_what_is_not_there_is_an_error(published: Path, other: Path, words: list[str]) -> None:
    done = tried(other, "dvc", "artifacts", "get", str(published), *words)
    assert done.returncode != 0
    assert words[0] in done.stderr
    assert {path.name for path in other.iterdir()} == {".git", ".dvc", ".dvcignore"}


def test_the_ten_lines_of_the_page_switch_the_neurons_off(published: Path, other: Path) -> None:
    shell(other, block("sh", "Using a neuron set in your code"), published)
    code = block("python", "Using a neuron set in your code")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    printed = run(other, "python", "-c", LIBRARY + code + CHECK).splitlines()
    assert len(printed[0].strip("[]").split()) == 2  # what the page's own lines print
    found = json.loads(printed[-1])
    sets = pd.read_parquet(other / "relation_neurons" / "sets.parquet")
    rows = sets[(sets["source"] == "pooled") & (sets["relation"] == "capital")]
    assert found["chosen"] == rows.sort_values("rank")[["layer", "index"]].to_numpy().tolist()
    assert found["off"] == [0.0] * len(rows) == [0.0] * 8
    assert found["n_on"] > 200  # of 256: all others go on
    assert found["changed"] > 0


def test_an_imported_set_says_where_it_came_from(published: Path, other: Path) -> None:
    text = re.search(r"```sh\n(dvc import .*?)```", DOC, re.DOTALL)
    assert text is not None
    shell(other, text[1], published)
    source = YAML(typ="safe").load(other / "relation_neurons.dvc")["deps"][0]["repo"]
    commit = run(published, "git", "rev-parse", "relation-neurons@v1.0.0^{commit}").strip()
    assert source["rev_lock"] == commit
    assert k_of(other / "relation_neurons") == 8
    run(other, "dvc", "update", "relation_neurons.dvc", "--rev", "relation-neurons@v1.1.0")
    assert k_of(other / "relation_neurons") == 6


def test_without_the_remote_there_is_nothing_to_fetch(
    published: Path, other: Path, tmp_path: Path
) -> None:
    """Positive control: what the tests above fetched came from the remote."""
    remote = published.parent / "neuron-atlas-remote"
    remote.rename(tmp_path / "away")
    done = tried(other, "dvc", "artifacts", "get", str(published), "relation-neurons")
    (tmp_path / "away").rename(remote)
    assert done.returncode != 0
    assert not (other / "relation_neurons" / "sets.parquet").exists()
