"""Facts in nine scripts: each is asked as its readers write it, and counted if it cannot be."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

import facts as stage
from neuron_atlas.facts import fact_table
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.params import read_yaml
from nine_scripts import CAPITALS, COUNTRIES, TEXTS, TOGETHER, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scripts")
    write(root / "own.jsonl", root / "texts")
    section = read_yaml(ROOT / "params.yaml")["facts"] | {"source": "jsonl", "path": "own.jsonl"}
    section |= {"templates": "texts", "max_majority_share": 1.0, "min_per_relation": 4}
    content = {"languages": {code: {} for code in TEXTS}, "seed": 0, "facts": section}
    content |= {"recall": {"shots": 1, "demonstrations": {"shots": 1, "blocks": 1}}}
    YAML().dump(content, root / "params.yaml")
    store.write_json(root / "model/provenance.json", {"architecture": {"encoder": False}})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        stage.main(Path("model"), Path("facts"), Path("questions"), Path("report"))
    return root


@pytest.mark.parametrize("code", TEXTS)
def test_every_fact_is_asked_as_it_is_written(made: Path, code: str) -> None:
    table = fact_table.read_facts(made / "facts" / f"{code}.parquet")
    assert set(table["separator"]) == ({""} if code in TOGETHER else {" "})
    asked = table[table["relation"] == "capital"]
    pairs = dict(zip(asked["subject_label"], asked["answer"], strict=True))
    assert pairs == dict(zip(COUNTRIES[code], CAPITALS[code], strict=True))
    for row in asked.to_dict("records"):
        text = TEXTS[code][0].replace("{subject}", row["subject_label"])
        assert row["prompt"] == (text.replace(" ", "") if code in TOGETHER else text)
        span = row["prompt"][row["subject_start"] : row["subject_end"]]
        assert span == row["subject_label"]


def test_closed_gaps_are_said(made: Path) -> None:
    said = {code: store.read_json(made / "report" / f"{code}.json") for code in TEXTS}
    closed = {code for code, one in said.items() if "notices" in one}
    assert closed == TOGETHER
    assert said["zh"]["notices"] == [
        "the space before the answer is left out in 2 templates, since the language writes none "
        "there"
    ]
