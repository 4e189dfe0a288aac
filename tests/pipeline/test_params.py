"""params.yaml is read and written as DVC does it; every mistake names its file and its key."""

from difflib import ndiff
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml
from pydantic import Field

from neuron_atlas.pipeline import params
from repository import knobs

ROOT = Path(__file__).parents[2]
GOOD = "stage:\n  rate: 0.5\n  k: 3\n  how: min\n  seed: null\n"


class Example(params.Section):
    rate: Annotated[float, Field(gt=0)]
    k: int
    how: Literal["min", "mean"]
    seed: int | None


def loaded(folder: Path, text: str) -> Example:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return params.load("stage", Example, path)


def test_a_section_is_read_and_frozen(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD + "other: {}\n")
    assert found == Example(rate=0.5, k=3, how="min", seed=None)
    with pytest.raises(ValueError, match="frozen"):
        found.k = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("stage:", "Stage:", r"has no section 'stage'; it has \['Stage'\]"),
        ("  k: 3\n", "", r"stage\.k: Field required"),
        ("  k: 3\n", "  k: 3\n  kk: 3\n", r"stage\.kk: Extra inputs are not permitted, got 3"),
        ("k: 3", "k: '3'", r"stage\.k: Input should be a valid integer, got '3'"),
        ("k: 3", "k: 3.0", r"stage\.k: Input should be a valid integer, got 3\.0"),
        ("k: 3", "k: true", r"stage\.k: Input should be a valid integer, got True"),
        ("rate: 0.5", "rate: 0", r"stage\.rate: Input should be greater than 0, got 0"),
        ("how: min", "how: max", r"stage\.how: Input should be 'min' or 'mean', got 'max'"),
        ("how: min", "how: [", r"is not valid YAML"),
        ("k: 3\n", "k: 3\n  k: 4\n", r"is not valid YAML"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_came(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in GOOD
    with pytest.raises(ValueError, match=r"params\.yaml") as caught:
        loaded(tmp_path, GOOD.replace(before, after))
    assert caught.match(message)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"stage\.k: .*; stage\.how: "):
        loaded(tmp_path, GOOD.replace("3", "x").replace("min", "max"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("010", 10),
        ("0o10", 8),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("null", None),
        ("1_000", 1000),
        ("12:30", "12:30"),
    ],
)
def test_scalars_are_those_of_yaml_1_2_and_of_dvc(tmp_path: Path, text: str, value: Any) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"x: {text}\n")
    found = params.read_yaml(path)["x"]
    assert (found, type(found)) == (value, type(value))
    assert load_yaml(str(path))["x"] == found


@pytest.mark.parametrize("text", ["", "- 1\n", "word\n"])
def test_the_top_level_must_be_a_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"params.yaml: the top level must be a mapping"):
        params.read_yaml(path)


def test_a_missing_or_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist; run from the repository's root"):
        params.read_yaml(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match="is not valid YAML"):
        params.read_yaml(tmp_path / "params.yaml")


def test_languages_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("languages:\n  zh: {}\n  en: {}\n  no: {}\n")
    assert params.load_languages(path) == ("zh", "en", "no")  # Norwegian is not false


@pytest.mark.parametrize("text", ["x: 1", "languages: {}", "languages: [en]", "languages: en"])
def test_languages_must_be_a_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"languages must be a non-empty mapping such as"):
        params.load_languages(path)


def test_the_seed_is_a_whole_number(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 12\n")
    assert params.load_seed(path) == 12
    for text in ("x: 1", "seed:", "seed: -1", "seed: 1.0", "seed: true", "seed: one", "seed: [1]"):
        path.write_text(text)
        with pytest.raises(ValueError, match="seed must be a whole number from 0, such as 0, got"):
            params.load_seed(path)


def changed_lines(folder: Path, *overrides: str) -> tuple[list[str], list[str]]:
    """Return the lines of the real params.yaml that `dvc exp run -S` takes out and puts in."""
    copy = folder / "params.yaml"
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    copy.write_text(text, encoding="utf-8")
    apply_overrides(str(copy), list(overrides))
    before, after = text.splitlines(), copy.read_text(encoding="utf-8").splitlines()
    edits = [line for line in ndiff(before, after) if line.startswith(("- ", "+ "))]
    return [e[2:] for e in edits if e[0] == "-"], [e[2:] for e in edits if e[0] == "+"]


def test_an_experiment_changes_one_line(tmp_path: Path) -> None:
    (before,), (after,) = changed_lines(tmp_path, "relation_neurons.k=6")
    assert before.strip() == "k: 100"
    assert after.strip() == "k: 6"
    assert changed_lines(tmp_path, "+languages.it={}") == ([], ["  it: {}"])
    assert changed_lines(tmp_path, "relation_neurons.k=100") == ([], [])


def test_each_parameter_that_is_set_changes_its_line_alone(tmp_path: Path) -> None:
    every = dict(knobs(params.read_yaml(ROOT / "params.yaml")))
    single = [name for name, value in every.items() if not isinstance(value, list)]
    before, after = changed_lines(tmp_path, *(f"{name}=never_a_value" for name in single))
    assert len(before) == len(after) == len(single) > 50
    for name, old, new in zip(single, before, after, strict=True):
        key = f"{name.rpartition('.')[2]}:"
        assert old.split()[0] == new.split()[0] == key
        assert new.split()[1] == "never_a_value"
