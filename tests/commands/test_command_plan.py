"""The command `plan`: it needs no run, says what would fit, and refuses what it cannot read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from asked_commands import Said
from neuron_atlas.commands import plan as command
from neuron_atlas.commands.app import app
from neuron_atlas.costs import units
from neuron_atlas.costs.configs import KNOWN
from neuron_atlas.costs.devices import DEVICES
from neuron_atlas.costs.estimate import LIBRARIES

LINE = ("plan", "--facts", "308", "--languages", "6")


def said(*words: str, model: str = "llama-2-7b") -> Result:
    line = [*LINE, "--model-config", model, *words]
    return CliRunner().invoke(app, line, env={"COLUMNS": "200"})


def found(*words: str, model: str = "llama-2-7b") -> dict[str, Any]:
    done = said(*words, "--json", model=model)
    assert done.exit_code == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_it_needs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = said("--device", "h100")
    assert shown.exit_code == 0, shown.stderr
    assert "fits in 80 GiB" in shown.stdout
    assert "make plan" in shown.stdout


def test_a_config_is_read_from_its_file_or_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(KNOWN["llama-2-13b"]), encoding="utf-8")
    known = found(model="llama-2-13b")
    assert known["parameters"] == pytest.approx(13.016e9, rel=2e-3)
    for place in (tmp_path, tmp_path / "config.json"):
        assert found(model=str(place)) == known


def test_a_parameter_that_is_set_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stages = [
        {one["stage"]: one["flops"] for one in found(*words)["stages"]}
        for words in ((), ("--set", "interference.n_draws=2"))
    ]
    assert stages[1]["interference"] < stages[0]["interference"]
    assert stages[1]["answers"] == stages[0]["answers"]


def test_the_repository_s_parameters_count(say: Said) -> None:
    """Those that it does not set are as shipped."""
    done = say(*LINE, "--model-config", "llama-2-7b", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["stages"]


def test_more_of_everything_costs_more() -> None:
    once = found()["seconds"]
    for more in ("--templates=8", "--relations=24", "--prompt-tokens=30", "--answer-tokens=4"):
        assert found(more)["seconds"] > once
    assert found("--right", "0.9")["seconds"] > once


def test_every_device_is_named_in_the_help() -> None:
    shown = CliRunner().invoke(app, ["plan", "--help"], env={"COLUMNS": "300"})
    assert all(name in shown.stdout for name in DEVICES)


@pytest.mark.parametrize(
    ("words", "model", "message"),
    [
        ((), "nothing", "nothing is no file and no known model"),
        (("--device", "abacus"), "llama-2-7b", "expected a device of laptop"),
        (("--set", "interference.n_drawz=2"), "llama-2-7b", "expected a key of params.yaml"),
        (("--set", "interference.n_draws"), "llama-2-7b", "expected a key of params.yaml"),
        (("--set", "interference.n_draws=many"), "llama-2-7b", "interference.n_draws"),
        (("--set", "interference.n_draws=[1"), "llama-2-7b", "expected a value as in params.yaml"),
        (("--set", "facts.paraphrases=2"), "llama-2-7b", "no formula reads facts; the sections"),
        (("--prompt-tokens", "0"), "llama-2-7b", "prompt_tokens must be a finite number"),
        (("--prompt-tokens", "nan"), "llama-2-7b", "prompt_tokens must be a finite number"),
        (("--answer-tokens", "inf"), "llama-2-7b", "answer_tokens must be a finite number"),
        (("--answer-tokens=-2",), "llama-2-7b", "answer_tokens must be a finite number"),
        (("--right", "2"), "llama-2-7b", "right is a share in [0, 1]"),
        (("--relations", "400"), "llama-2-7b", "need as many facts"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], model: str, message: str
) -> None:
    done = said(*words, model=model)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"model_type": "llama"}', "\x00"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    done = said(model=str(tmp_path))
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("text_config", {"model_type": "gemma3_text"}, "in text_config (gemma3_text)"),
        ("rope_parameters", "linear", "rope_parameters must be an object, got 'linear'"),
        ("rope_scaling", [1], "rope_scaling must be an object, got [1]"),
        ("layer_types", 3, "layer_types must be a list, got 3"),
        ("head_dim", "x", "head_dim must be a whole number"),
        ("num_local_experts", 8, "num_local_experts is 8"),
        ("model_type", "mixtral", "unsupported architecture 'mixtral'"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    config = {**KNOWN["llama-2-7b"], key: value}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done = said(model=str(tmp_path))
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_device_that_is_not_here_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = said("--measure", "--device", "h100")
    assert done.exit_code == 1
    assert "torch finds no CUDA device" in done.stderr


def test_a_soft_cap_costs_time(tmp_path: Path) -> None:
    plain = KNOWN["gemma-3-270m"]
    seconds = []
    for config in ({**plain, "final_logit_softcapping": 30.0}, plain):
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        seconds.append(found(model=str(tmp_path))["seconds"])
    assert seconds[0] > seconds[1]


def test_the_column_of_memory_is_the_run_s_on_a_laptop() -> None:
    """Its largest is the host's memory; a stage that loads no model has no weights there."""
    one = found(model="gemma-3-270m")
    column = {row["stage"]: command._memory(row, one) for row in one["stages"]}
    assert max(column.values()) == one["host_bytes"]
    (ranking,) = (row for row in one["stages"] if row["stage"] == "relation_neurons")
    assert column["relation_neurons"] == LIBRARIES + ranking["host_bytes"]
    (asking,) = (row for row in one["stages"] if row["stage"] == "answers")
    parts = LIBRARIES + asking["host_bytes"] + asking["device_bytes"] + one["weight_bytes"]
    assert column["answers"] == parts
    assert units.size_of(parts) in said(model="gemma-3-270m").stdout


def test_amounts_are_read_at_a_glance() -> None:
    assert units.amount(3.21e15, "") == "3.21 P"
    assert units.size_of(50.7e9) == "50.7 GB"
    assert [units.duration(s) for s in (5, 600, 7300, 200_000)] == [
        "5 s",
        "10 min",
        "2.03 h",
        "2.31 days",
    ]
