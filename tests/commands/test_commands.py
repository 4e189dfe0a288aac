"""Every command: what it finds, how it ends, and that hostile text stays text."""

import json
import re
import shutil
import webbrowser
from pathlib import Path
from typing import Any

import pytest

import planted
import planted_run
from asked_commands import Found, Said
from neuron_atlas.commands import printing
from planted_run import HOSTILE, address

PROMPT = "xa_alpha_0 xa_s3 :"
RIGHT, WRONG = "xa_alpha_a3", "xa_alpha_a1"
BOTH = ("--candidates", f"{WRONG},{RIGHT}")
LINES = {
    "facts": ("facts",),
    "ask": ("ask", PROMPT, *BOTH),
    "next": ("ask", PROMPT),
    "neurons": ("neurons",),
    "neuron": ("neuron", address("first:alpha")),
    "ablate": ("ablate", "--relation", "alpha", PROMPT, "--draws", "2"),
    "edit": ("edit", "alpha:s3", "--suppress", "--strongest", "1", "--draws", "2"),
    "verdicts": ("verdicts",),
    "verdict": ("verdicts", "interference"),
    "open": ("open", "--print"),
}
each_line = pytest.mark.parametrize("words", LINES.values(), ids=LINES)
NEEDED = {  # what each reads first, and the stage that makes it
    "facts": ("data/facts_report", "facts"),
    "ask": ("data/model", "model"),
    "neurons": ("data/cards", "cards"),
    "neuron": ("data/cards", "cards"),
    "ablate": ("data/relation_neurons", "relation_neurons"),
    "edit": ("data/recall", "recall@xa"),
    "verdicts": ("metrics/summary.json", "report"),
    "open": ("report/index.html", "report"),
}


@each_line
def test_people_read_no_escape_and_programs_read_json(say: Said, words: tuple[str, ...]) -> None:
    shown = say(*words)
    assert shown.exit_code == 0, shown.stderr
    assert not printing.STEERING.search(shown.stdout.replace("\n", ""))
    found = say(*words, "--json")
    assert found.exit_code == 0
    assert not printing.STEERING.search(found.stdout.replace("\n", ""))
    assert isinstance(json.loads(found.stdout), dict)


@pytest.mark.parametrize("words", [LINES[n] for n in ("facts", "neurons", "neuron", "verdicts")])
def test_hostile_text_is_shown_as_text(say: Said, words: tuple[str, ...]) -> None:
    assert "[red]\\x1b[31m\\u202eevil\\x9b[/red]" in say(*words).stdout
    assert HOSTILE in texts(json.loads(say(*words, "--json").stdout))


def texts(value: Any) -> set[str]:
    """Every text in JSON."""
    if isinstance(value, dict):
        return set().union(*map(texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(texts, value))
    return {value} if isinstance(value, str) else set()


def test_what_steers_a_terminal_is_seen() -> None:
    """Positive control."""
    assert printing.STEERING.search(HOSTILE)
    assert printing.plain("a\x1bb\u202ec\nd\x9be\ud800") == "a\\x1bb\\u202ec\\nd\\x9be\\ud800"
    assert printing.plain("Zürich 東京 القاهرة 🏙") == "Zürich 東京 القاهرة 🏙"


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_output_is_one_line_with_the_stage(
    say: Said, planted_folder: Path, tmp_path: Path, name: str
) -> None:
    place, stage = NEEDED[name]
    folder = tmp_path / "run"
    shutil.copytree(planted_folder, folder)
    gone = folder / place
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    done = say(*LINES[name], folder=folder)
    assert done.exit_code == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"{place}" in line
    assert re.search(rf"is missing: run `dvc repro {stage}`, or `(dvc pull|git checkout)", line)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("data/model/model.safetensors", LINES["ask"]),
        ("data/cards/neurons.parquet", LINES["neurons"]),
        ("metrics/summary.json", LINES["verdicts"]),
        ("data/relation_neurons/pooled/size.safetensors", LINES["ablate"]),
        ("data/activations/xa/layer_000.safetensors", LINES["ablate"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_cut_off_is_one_line(
    say: Said, planted_folder: Path, tmp_path: Path, place: str, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(planted_folder, folder)
    (folder / place).write_bytes((folder / place).read_bytes()[:40])
    done = say(*words, folder=folder)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("neurons", "--relation", "alfa"), "no relation 'alfa' in this run; did you mean alpha?"),
        (("neurons", "--language", "zz"), "no language 'zz' in this run"),
        (("neuron", "11"), "expected a neuron as layer:index"),
        (("neuron", "2:127"), "is in no set"),
        (("neuron", "99:0"), "got '99:0'"),
        (("ask", "  "), "expected a prompt"),
        (("ask", PROMPT, "--candidates", ""), "--candidates: expected answers"),
        (("ask", PROMPT, "--candidates", "a,,b"), "got an empty one"),
        (("ask", PROMPT, "--candidates", "a,a"), "'a' is given twice"),
        (("ask", PROMPT, "--candidates", "a\nb"), "--candidates: "),
        (("ablate", PROMPT, "--neurons", "0:0,0:0"), "holds each neuron once"),
        (("ablate", PROMPT, "--relation", "alpha", "--language", "fr"), "no language 'fr'"),
        (("edit", "alpha:nobody", "--suppress"), "there is no fact 'alpha:nobody' in xa"),
        (("edit", "alpha:s3", "--to", "Mars"), "'Mars' is no candidate of alpha:s3"),
        (("edit", "alpha:s3", "--to", RIGHT), "is a right answer"),
        (("edit", "alpha:s20", "--suppress"), "has no attribution of alpha:s20 in xa"),
        (("verdicts", "interferenze"), "did you mean interference?"),
        (("open", "--neuron", "\x1b[31m"), "got '\\x1b[31m'"),
        (("facts", "--relation", "x"), "no relation 'x'"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line(say: Said, words: tuple[str, ...], said: str) -> None:
    done = say(*words)
    assert done.exit_code == 1, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("neurons", "--top", "many"),
        ("ablate", PROMPT),
        ("ablate", PROMPT, "--relation", "alpha", "--neurons", "0:0"),
        ("edit", "alpha:s3"),
        ("edit", "alpha:s3", "--suppress", "--enhance"),
        ("facts", "--set", "seed=1"),
        ("export",),
        ("nothing",),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2(say: Said, words: tuple[str, ...]) -> None:
    done = say(*words)
    assert done.exit_code == 2
    assert done.stdout == ""


def test_outside_a_repository_the_folder_is_asked_for(
    say: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = say("verdicts", folder=None)
    assert done.exit_code == 1
    assert "no dvc.yaml in" in done.stderr
    assert "--data FOLDER" in done.stderr
    assert say("verdicts", folder=tmp_path / "gone").stderr.endswith("is no folder\n")
    assert "neither a repository" in say("verdicts", folder=tmp_path).stderr


def test_the_repository_is_found_from_inside_and_by_its_data(
    say: Said, planted_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(planted_folder / "data" / "facts")
    here = say("verdicts", folder=None)
    assert here.exit_code == 0
    assert say("verdicts", folder=planted_folder / "data").stdout == here.stdout


def test_answers_are_ranked(find: Found) -> None:
    found = find("ask", f"{PROMPT} ", *BOTH)
    first, second = found["answers"]
    assert found["prompt"] == PROMPT
    assert (first["rank"], first["answer"]) == (1, RIGHT)
    assert second["answer"] == WRONG
    expected = planted.log_probability(planted.STRENGTH["alpha"])
    assert first["log_probability"] == pytest.approx(expected, abs=planted.NATS)
    assert first["share"] + second["share"] == pytest.approx(1)
    assert first["share"] == pytest.approx(1 / (1 + planted_odds()), rel=1e-5)


def planted_odds() -> float:
    """The wrong answer's probability beside the right one's: their logits differ by 2 * 3."""
    return float(2.718281828459045 ** (-planted.GAIN * planted.STRENGTH["alpha"]))


def test_without_candidates_the_likeliest_tokens_come(find: Found) -> None:
    found = find("ask", PROMPT, "--top", "4")
    assert [one["rank"] for one in found["answers"]] == [1, 2, 3, 4]
    assert found["answers"][0]["answer"].strip() == RIGHT
    expected = planted.log_probability(planted.STRENGTH["alpha"])
    assert found["answers"][0]["log_probability"] == pytest.approx(expected, abs=planted.NATS)


def test_the_neurons_of_a_relation_are_its_pooled_set(find: Found) -> None:
    found = find("neurons", "--relation", "alpha")
    assert [one["address"] for one in found["neurons"]] == [
        address("first:alpha"),
        address("second:alpha"),
    ]
    assert {one["language"] for one in found["neurons"]} == {"pooled"}
    assert found["neurons"][0]["promoted"] == [" Paris", HOSTILE]
    assert [one["massive"] for one in found["neurons"]] == [False, True]
    assert found["in_the_run"]["excess"] == -1.0
    assert found["writes"]["auc"] == 0.625


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["first:alpha", "second:alpha", "fact:alpha:s0", "first:beta"]),
        (("--language", "xa"), ["first:alpha", "fact:alpha:s0", "second:alpha"]),
        (("--kind", "fact"), ["fact:alpha:s0"]),
        (("--fact", "alpha:s0"), ["fact:alpha:s0"]),
        (("--fact", "alpha:s1"), []),
        (("--layer", "1"), ["second:alpha"]),
        (("--promotes", "PARIS"), ["first:alpha", "second:alpha"]),
        (("--promotes", "x"), ["second:alpha"]),
        (("--relation", "beta"), ["first:beta"]),
        (("--relation", "alpha", "--top", "1"), ["first:alpha"]),
        (("--relation", "alpha", "--top", "0"), ["first:alpha", "second:alpha"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_neurons_are_filtered(find: Found, words: tuple[str, ...], names: list[str]) -> None:
    found = find("neurons", *words)
    assert [one["address"] for one in found["neurons"]] == [address(name) for name in names]


def test_a_card_has_all_that_is_known(find: Found) -> None:
    found = find("neuron", address("first:alpha").replace(":", "."))
    assert found["address"] == address("first:alpha")
    assert found["partners"][0]["address"] == address("second:alpha")
    assert len(found["memberships"]) == 3
    assert found["effects"][0]["fact"] is None


@pytest.mark.parametrize("value", ["zero", "mean"])
def test_a_planted_set_hurts_and_its_random_controls_do_not(find: Found, value: str) -> None:
    """The set's mean, too, is far from the value 1 that its neurons take on their own prompts."""
    words = ("--relation", "alpha", "--value", value, "--draws", "8", *BOTH)
    found = find("ablate", PROMPT, *words)
    assert sorted(found["neurons"]) == sorted(
        map(address, ("first:alpha", "second:alpha", "inhibitor"))
    )
    right = found["answers"][1]
    assert right["answer"] == RIGHT
    before = planted.log_probability(planted.STRENGTH["alpha"])
    assert right["before"] == pytest.approx(before, abs=planted.NATS)
    if value == "zero":
        assert right["after"] == pytest.approx(planted.log_probability(0.0), abs=planted.NATS)
    assert right["change"] < -1
    for kind in ("same_number", "equal_push"):
        assert abs(right[kind]["mean"]) < 0.01
        assert right[kind]["n_as_far"] == 0
    assert found["in_the_run"]["n_facts"] == 7


def test_a_relation_s_neurons_do_nothing_to_another(find: Found) -> None:
    """Negative control: gamma's answers do not need alpha's neurons."""
    words = ("--relation", "alpha", "--value", "zero", "--draws", "2")
    found = find("ablate", "xa_gamma_0 xa_s3 :", *words, "--candidates", "xa_gamma_a1,xa_gamma_a2")
    assert all(abs(one["change"]) < planted.NATS for one in found["answers"])


def test_given_neurons_are_switched_off(find: Found) -> None:
    unit = address("fact:alpha:s3")
    found = find(
        "ablate", PROMPT, "--neurons", unit, "--value", "zero", "--draws", "4", "--top", "2"
    )
    assert found["neurons"] == [unit]
    assert found["relation"] is None
    assert found["in_the_run"] is None
    first = found["answers"][0]
    assert first["answer"].strip() == RIGHT
    assert first["after"] == pytest.approx(planted.log_probability(0.0), abs=planted.NATS)
    assert first["same_number"]["lowest"] == first["same_number"]["highest"] == 0
    assert len(found["answers"]) >= 3  # what is likeliest without the unit was not among the first


def test_the_same_draws_give_the_same_numbers(find: Found) -> None:
    words = ("ablate", PROMPT, "--relation", "beta", "--draws", "3")
    assert find(*words) == find(*words)


@pytest.mark.parametrize("operation", ["suppress", "enhance"])
def test_a_fact_s_own_unit_is_suppressed_and_enhanced(find: Found, operation: str) -> None:
    found = find("edit", "alpha:s3", f"--{operation}", "--strongest", "1", "--draws", "3")
    assert found["neurons"] == [address("fact:alpha:s3")]
    strength = 0.0 if operation == "suppress" else 2 * planted.STRENGTH["alpha"]
    places = {one["where"]: one for one in found["prompts"]}
    assert set(places) == {"prompt", "paraphrase", "unrelated"}
    for where in ("prompt", "paraphrase"):
        (right,) = places[where]["answers"]
        assert right["answer"] == RIGHT
        assert right["after"] == pytest.approx(planted.log_probability(strength), abs=planted.NATS)
        assert right["same_number"]["highest"] == pytest.approx(0, abs=planted.NATS)
    (other,) = places["unrelated"]["answers"]
    assert not places["unrelated"]["fact"].startswith("alpha")
    assert other["change"] == pytest.approx(0, abs=planted.NATS)


def test_a_fact_gets_another_answer(find: Found, planted_folder: Path) -> None:
    before = (planted_folder / "data/model/model.safetensors").read_bytes()
    found = find("edit", "alpha:s3", "--to", WRONG, "--strongest", "1", "--draws", "3")
    places = {one["where"]: one for one in found["prompts"]}
    for where in ("prompt", "paraphrase"):
        assert (places[where]["says_before"], places[where]["says_after"]) == (RIGHT, WRONG)
        old, new = places[where]["answers"]
        assert (old["answer"], new["answer"]) == (RIGHT, WRONG)
        assert old["change"] < -1 < 1 < new["change"]
        assert new["same_number"]["highest"] < 0.01
        assert new["equal_push"] is None
    unrelated = places["unrelated"]
    assert unrelated["says_before"] == unrelated["says_after"]
    assert (planted_folder / "data/model/model.safetensors").read_bytes() == before


def test_verdicts_have_interval_and_control(find: Found, say: Said) -> None:
    every = {one["claim"]: one for one in find("verdicts")["verdicts"]}
    one = every["relation_neurons_exist"]
    assert (one["effect"], one["low"], one["high"], one["mde"]) == (-0.5, -0.75, -0.25, 0.125)
    assert one["against"] == planted_run.QUESTION["against"]
    assert every["interference"]["effect"] is None
    assert every["interference"]["reason"] == HOSTILE
    shown = say("verdicts").stdout
    assert "effect -0.5 [-0.75, -0.25], would find 0.12" in shown
    assert "control: Random neurons of equal push" in shown


def test_the_page_is_opened_or_named(
    say: Said, find: Found, planted_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, asked = planted_folder / "report/index.html", list[str]()
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(asked.append(address)) or True)
    assert say("open", "--print").stdout == f"{page}\n"
    assert asked == []
    assert find("open", "--neuron", address("first:beta"))["opened"]
    place = address("first:beta").replace(":", ".")
    assert asked == [f"{page.as_uri()}#n={place}"]
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert str(page) in say("open").stdout


def test_facts_are_counted(find: Found) -> None:
    found = find("facts", "--language", "xb", "--relation", "beta")
    assert found["source"]["licence"] == planted_run.SOURCE["licence"]
    row = found["languages"]["xb"]["beta"]
    n_asked = planted.N_SUBJECTS - 2  # a tenth of the subjects is for development
    assert [row[f"n_{what}"] for what in ("facts", "asked", "known")] == [24, n_asked, n_asked]
    assert list(found["languages"]) == ["xb"]


def test_people_see_no_more_than_their_terminal_takes(say: Said) -> None:
    for words in LINES.values():
        if words[0] != "open":
            lines = say(*words, COLUMNS="90").stdout.splitlines()
            assert max(len(line.rstrip()) for line in lines) <= 90, words


@pytest.mark.parametrize("columns", ["60", "34"])
def test_a_narrow_terminal_loses_no_cell(say: Said, columns: str) -> None:
    for name in ("neuron", "neurons", "ask", "facts"):
        wide, narrow = (
            set(re.findall(r"[+-]?[0-9]+\.[0-9]+", say(*LINES[name], COLUMNS=width).stdout))
            for width in ("250", columns)
        )
        assert wide <= narrow, name


def test_without_a_terminal_lines_are_whole_and_plain(say: Said) -> None:
    shown = say("neurons", COLUMNS="", NO_COLOR="1").stdout
    assert "\x1b" not in shown
    rows = [line for line in shown.splitlines() if address("first:alpha") in line]
    assert len(rows) == 1
    assert "␣Paris" in rows[0]


def test_numbers_that_are_not_finite_are_null() -> None:
    values: dict[str, Any] = {"a": [float("nan"), 1.5], "b": {"c": float("inf")}}
    assert json.loads(printing.as_text(values)) == {"a": [None, 1.5], "b": {"c": None}}
