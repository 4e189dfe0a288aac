"""`make replicate`: which runs there are, which are run again, and what the page says of them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides

import experiment_queue
import replicas
import replicate
from experiment_queue import Experiment, State
from neuron_atlas.builtin_facts import builtin
from neuron_atlas.checks import parameters
from neuron_atlas.fact_sets.limits import Limits
from neuron_atlas.pipeline import params
from replication_page import Known, Outcome, agreement, page, sentence

ROOT = Path(__file__).parents[1]
FIRST, SECOND = replicate.MODELS
CLAIM = "relation_neurons_exist"


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(ROOT)
    return params.read_yaml(ROOT / "params.yaml")


def test_a_model_s_runs_follow_one_another_and_a_model_without_languages_has_none() -> None:
    known = {"pypi:a": ["en", "fr"], "pypi:none": [], "path:/x/b": ["en"]}
    found = replicate.plan(known, [4, 2])
    assert [run.name for run in found.values()] == [
        "replication-a-seed-4",
        "replication-a-seed-2",
        "replication-b-seed-4",
        "replication-b-seed-2",
    ]
    assert found["path:/x/b", 2].settings["languages"] == ["en"]


def test_the_shipped_runs_differ_in_seed_model_and_languages_alone(
    shipped: dict[str, Any], tmp_path: Path
) -> None:
    known = {FIRST: list(shipped["languages"]), SECOND: ["en"]}
    runs = replicate.plan(known, replicate.SEEDS)
    assert len(runs) == 6
    assert runs[FIRST, 0].parameters() == shipped
    other = runs[SECOND, 2].parameters()
    assert other["languages"] == {"en": {}}
    assert other["seed"] == 2
    assert other["model"] == {
        "source": SECOND,
        "path": shipped["model"]["path"],
        "revision": None,
        "sha256": replicate.SHA256[SECOND],
        "dtype": "float32",
    }
    same = shipped.keys() - {"languages", "seed", "model"}
    assert {key: other[key] for key in same} == {key: shipped[key] for key in same}
    copy = tmp_path / "params.yaml"
    copy.write_bytes((ROOT / "params.yaml").read_bytes())
    apply_overrides(copy, runs[SECOND, 2].overrides())
    parameters.check(copy)


def test_a_survey_stops_after_recall_and_takes_all_languages(shipped: dict[str, Any]) -> None:
    found = replicate.surveys([SECOND], 1, list(shipped["languages"]))[SECOND]
    assert found.targets == ("recall",)
    assert found.parameters()["languages"] == shipped["languages"]
    assert found.parameters()["seed"] == 1


def test_what_chooses_a_model() -> None:
    hub = replicate.model_settings(f"hub:a/b@{'0' * 40}")["model"]
    assert (hub["source"], hub["revision"], hub["sha256"]) == ("hub:a/b", "0" * 40, None)
    assert replicate.model_settings("path:/a/m")["model"]["path"] == "/a/m"
    assert replicate.short("hub:a/b.c@0") == "b-c"
    assert replicate.short("path:/x/y@z/") == "y"
    with pytest.raises(SystemExit):
        replicate.main(["--models", "path:/a/m", "path:/b/m"])


def test_a_language_stays_if_more_than_half_of_its_relations_are_above_the_majority() -> None:
    def row(language: str, relation: str, right: float) -> dict[str, Any]:
        measured = {"typed_accuracy": right, "majority_baseline": 0.25}
        return {"language": language, "relation": relation, **measured}

    rows = [row("en", r, 0.3) for r in "ab"] + [row("en", "c", 0.25), row("en", "all", 0.1)]
    rows += [row("fr", "a", 0.3), row("fr", "b", 0.2), row("fr", "all", 0.9)]
    found = replicate.count(rows)
    assert found == {"en": Known(2, 3), "fr": Known(1, 2)}
    assert [one.kept for one in found.values()] == [True, False]


def test_a_seed_changes_no_prompt_but_the_halves() -> None:
    """So the answers and values of one seed would serve another; docs/experiments.md says so."""
    limits = Limits(max_per_relation=12, max_candidates=12, max_majority_share=0.5)
    build = builtin.build
    first, second = (
        build("en", ["capital", "continent"], limits=limits, development_share=0.3, seed=seed)[0]
        for seed in (0, 1)
    )
    even = {"split": "held_out", "answer_split": "held_out"}
    assert [replace(f, **even) for f in first] == [replace(f, **even) for f in second]
    assert [f.split for f in first] != [f.split for f in second]


def verdict(word: str, **values: Any) -> dict[str, Any]:
    numbers = {"effect": -0.1234, "low": -0.2, "high": -0.05, "mde": 0.041}
    given = dict.fromkeys(numbers) if word == "untestable" else numbers
    return {"verdict": word, **given, **values}


def outcome(seed: int, word: str, **values: Any) -> Outcome:
    return Outcome("m", seed, languages=("en",), verdicts={CLAIM: verdict(word, **values)})


MIXED = (
    outcome(0, "supported"),
    outcome(1, "supported"),
    outcome(2, "contradicted", effect=0.3, low=0.1, high=0.5),
    outcome(3, "untestable", reason="no relation is known"),
    Outcome("m", 4, "failed: recall@en: out of | memory", ("en",)),
)


def test_who_agrees() -> None:
    found = agreement(CLAIM, MIXED)
    assert (found.same, found.able, found.unable, found.missing) == (1, 2, 1, 1)
    assert found.share == "1 of 2"
    assert sentence(found) == (
        "The first run says *supported*; of the others that could test it, 1 of 2 say the same. "
        "m, seed 2: contradicted. 1 of the others: untestable. 1 of the others: without a verdict."
    )


def test_nothing_agrees_with_a_first_run_that_could_not_test_or_did_not_finish() -> None:
    untestable = agreement(CLAIM, MIXED[3:] + MIXED[:2])
    assert (untestable.share, untestable.same) == ("-", 0)
    assert "could not test it; 2 of the others could" in sentence(untestable)
    failed = agreement(CLAIM, MIXED[4:] + MIXED[:2])
    assert failed.share == "-"
    assert "no verdict" in sentence(failed)
    alone = agreement(CLAIM, (MIXED[0], MIXED[3]))
    assert "no other run could test it" in sentence(alone)


def test_the_page_by_hand() -> None:
    text = page(MIXED, {"m": {"en": Known(3, 4), "zh": Known(2, 4)}})
    for line in (
        "| 1 | `m` | 0 | en | finished |",
        "| 5 | `m` | 4 | en | failed: recall@en: out of \\| memory |",
        "| `m` | en | 3 of 4 | yes |",
        "| `m` | zh | 2 of 4 | no |",
        f"| `{CLAIM}` | supported | supported | contradicted | untestable | - | 1 of 2 |",
        "| 1 (m, seed 0) | supported | -0.123 nats | -0.2 to -0.05 | 0.041 |",
        "| 3 (m, seed 2) | contradicted | +0.3 nats | +0.1 to +0.5 | 0.041 |",
        "| 4 (m, seed 3) | untestable | - | - | - |",
        "| 5 (m, seed 4) | - | - | - | - |",
    ):
        assert f"\n{line}\n" in text
    assert "1 of 2 say the same." in text
    assert "Untestable in 1: no relation is known." in text


def test_a_claim_that_has_no_words_yet_is_on_the_page() -> None:
    run = Outcome("m", 0, verdicts={"new_claim": verdict("supported")})
    assert "\n## new_claim\n" in page([run], {})
    assert "No run has finished yet." in page([Outcome("m", 0, "not run")], {})


def test_why_a_run_without_results_has_none() -> None:
    run = Experiment("x", {"languages": ["en"]})
    failed = State("failed", said="facts: no templates")
    assert replicate.outcome("pypi:m", 0, run, failed).state == "failed: facts: no templates"
    found = replicate.outcome("pypi:m", 0, None, failed).state
    assert found == "failed when asked for its languages: facts: no templates"
    none = replicate.outcome("pypi:m", 0, None, State("finished", "abc"))
    assert (none.state, none.verdicts) == ("it knows no language", None)


def test_the_reason_of_a_failure_is_the_stage_s_own_line() -> None:
    log = "Running stage 'a':\nRunning stage 'b@en':\nerror: k is 3; lower it\nERROR: failed to b\n"
    assert experiment_queue.reason(log) == "b@en: k is 3; lower it"
    assert experiment_queue.reason("ERROR: unexpected error - x\n") == "unexpected error - x"
    assert "stopped" in experiment_queue.reason("")


RUNS = [Experiment(name, {"languages": ["en"]}) for name in ("done", "broken", "waits", "new")]


def test_what_has_finished_or_waits_is_not_queued_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill: one run has finished, one failed, one is in the queue, one never was."""
    words = {"done": "finished", "broken": "failed", "waits": "running", "new": "not run"}
    queued: list[str] = []

    def look(runs: list[Experiment]) -> dict[str, State]:
        return {run.name: State(words[run.name]) for run in runs}  # type: ignore[arg-type]

    def queue(run: Experiment) -> None:
        queued.append(run.name)
        words[run.name] = "queued"

    def ended() -> None:
        words.update(dict.fromkeys(words, "finished"))

    calls: dict[str, Callable[..., Any]] = {"lost": set, "start": ended}
    calls["queue"] = queue
    for name, call in {**calls, "states": look}.items():
        monkeypatch.setattr(experiment_queue, name, call)
    said: list[str] = []
    found = experiment_queue.complete(RUNS, said.append, poll=0)
    assert queued == ["broken", "new"]
    assert {state.word for state in found.values()} == {"finished"}
    queued.clear()
    experiment_queue.complete(RUNS, said.append, poll=0)
    assert queued == []


def test_an_experiment_is_known_by_name_parameters_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = replicas.made(tmp_path)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder / ".site"))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t@localhost")
    run = Experiment("one", {"languages": ["en"], "seed": 3})
    assert experiment_queue.states([run])["one"] == State("not run")
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "-q", "-n", "one"]
    chosen = [word for override in run.overrides() for word in ("-S", override)]
    subprocess.run([*command, *chosen], check=True)
    (found,) = experiment_queue.states([run]).values()
    assert found.word == "finished"
    languages = {"languages": ["en"]}
    assert replicate.outcome("pypi:first", 3, run, found).verdicts == {
        CLAIM: {"verdict": "supported", "effect": -3.1, "low": -2.0, "high": -0.05, "mde": 0.04}
    }
    assert replicate.knowledge(found.rev, ["en"]) == {"en": Known(2, 3)}
    for other in (replace(run, name="two"), replace(run, settings={**languages, "seed": 4})):
        assert experiment_queue.states([other])[other.name].word == "not run"
    text = Path("dvc.yaml").read_text(encoding="utf-8")
    Path("dvc.yaml").write_text(f"# other code\n{text}", encoding="utf-8")
    assert experiment_queue.states([run])["one"].word == "not run"
