"""The real pipeline, run by DVC on a toy model: complete, repeatable, idle when nothing changed."""

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from ruamel.yaml import YAML

from neuron_atlas.cards.reading import card, read_cards
from neuron_atlas.pipeline import stage_times, store
from neuron_atlas.pipeline.work_folder import WHOLE
from neuron_atlas.verdicts.verdict import Word
from repository import LANGUAGES, copied, ran, run, stages


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, toy_decoder_folder: Path) -> Path:
    folder = copied(tmp_path_factory.mktemp("repository"), toy_decoder_folder)
    run(folder, "dvc", "repro")
    return folder


def test_the_results_are_complete(repository: Path) -> None:
    summary = json.loads((repository / "metrics" / "summary.json").read_text(encoding="utf-8"))
    assert summary["facts"]["languages"] == list(LANGUAGES)
    assert summary["facts"]["by_language"]["en"]["typed_accuracy"] > 0.8  # trained on these facts
    assert set(summary["verdicts"]) == {
        *("relation_neurons_exist", "relation_neurons_suffice"),
        *("cumulativity", "versatility_relations", "average_precision_beats_other_selectors"),
        *("versatility_languages", "interference", "amig_beats_baselines"),
        *("language_independent_neurons_exist", "language_specific_neurons_exist"),
        "degenerate_neurons_exist",
        *("cross_lingual_editing", "degenerate_neurons_help_fact_checking"),
    }
    assert summary["attribution"]["completeness_median"] < 0.05
    assert set(summary["selection"]) >= {"amig", "zero_ig", "activation", "random"}
    page = (repository / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count("data-chart=") >= 5
    assert (repository / ".work" / stage_times.FILE).exists()
    kept = list((repository / ".work").glob("*/*"))
    assert {file.name for file in kept} == {WHOLE}
    assert {file.parent.name.split()[0] for file in kept} == {"relation_neurons", "transfer"}


def test_every_neuron_of_a_set_has_a_card(repository: Path) -> None:
    cards = read_cards(repository / "data" / "cards")
    sets = store.read_table(repository / "data" / "relation_neurons" / "sets.parquet")
    own = cards.memberships[cards.memberships["kind"] == "relation"]
    assert len(own) == len(sets)
    assert set(cards.memberships["kind"]) >= {"relation", "fact", "language_specific"}
    assert set(cards.neurons["neuron"]) == set(cards.memberships["neuron"])
    assert set(cards.effects["measured_by"]) == {
        *("cards", "degenerate_neurons", "attribution_methods"),
    }
    both = own.merge(cards.scores, on=["neuron", "language", "relation"])
    assert len(both) == len(own)
    np.testing.assert_allclose(both["average_precision"], both["score"], rtol=1e-5)
    for neuron in cards.neurons["neuron"]:
        found = card(cards, neuron)
        assert {row["direction"] for row in found["tokens"]} == {"promoted", "suppressed"}
        assert len(found["prompts"]) == 2 * cards.meta["settings"]["prompts"]


def test_nothing_runs_again(repository: Path) -> None:
    assert "Running stage" not in run(repository, "dvc", "repro")
    assert json.loads(run(repository, "dvc", "status", "--json")) == {}


def test_a_forced_run_gives_the_same_bytes(repository: Path) -> None:
    """Every script also in a process of its own, where sets of words have another order."""
    lock = (repository / "dvc.lock").read_bytes()
    shutil.rmtree(repository / ".work")
    every = list(YAML(typ="safe").load(lock)["stages"])
    other = [name for name in every if name.endswith(("@fr", "@de"))]
    one = [name for name in every if name not in other]
    assert {name.split("@")[0] for name in one} == stages(repository, "dvc.yaml")
    for names, cold in ((one, True), (other, False)):
        again = ("dvc", "repro", "--force", "--single-item", *names)
        assert ran(run(repository, *again, cold=cold)) == set(names)
        assert (repository / "dvc.lock").read_bytes() == lock


def test_an_experiment_with_other_sets_does_not_extract_again(repository: Path) -> None:
    run(repository, "git", "add", "-A")
    run(repository, "git", "commit", "-q", "-m", "Results")
    output = run(repository, "dvc", "exp", "run", "-n", "k-six", "-S", "relation_neurons.k=6")
    again = ran(output)
    assert {"check", "relation_neurons", "interference@en", "language_neurons", "report"} <= again
    slow = {"model", "facts", "answers@en", "activations@en", "attributions@en", "consistency"}
    assert not again & slow
    shown = run(repository, "dvc", "exp", "show", "--csv")
    assert "relation_neurons.k" in shown.splitlines()[0]
    assert "headline" in run(repository, "dvc", "metrics", "show", "--json")
    assert "relation_neurons.k" in run(repository, "dvc", "params", "diff")
    edits = run(repository, "git", "diff", "--unified=0", "params.yaml").splitlines()[5:]
    assert [line.split("#")[0].split() for line in edits] == [["-", "k:", "8"], ["+", "k:", "6"]]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("dvc metrics show", ("untestable", "not_supported", "known")),
        (
            "dvc metrics show metrics/verdicts",
            ("cumulativity", "effect", "low", "high", "mde", "verdict"),
        ),
        (
            "dvc metrics diff --targets metrics/verdicts",
            ("cumulativity", "HEAD", "workspace"),
        ),
        ("dvc exp diff HEAD k-six", ("relation_neurons.k", "k-six")),
        (
            "env PYTHONPATH=src python -m neuron_atlas compare",
            ("cumulativity", "relation_neurons.k", "k-six"),
        ),
        (
            "dvc exp show --no-pager --only-changed "
            "--drop Created|data|src|stages|params.yaml|.*toy_decoder",
            ("relation_neurons.k", "k-six"),
        ),
    ],
)
def test_what_is_compared_fits_a_terminal(
    repository: Path, command: str, shown: tuple[str, ...]
) -> None:
    """The workspace is that of the experiment above."""
    lines = run(repository, *command.split(), COLUMNS="120").splitlines()
    assert max(map(len, lines)) <= 120
    assert all(any(word in line for line in lines) for word in shown)


def test_the_columns_of_metrics_are_few_and_short(repository: Path) -> None:
    header = run(repository, "dvc", "exp", "show", "--csv").splitlines()[0].split(",")
    columns = header[header.index("parent") + 1 : header.index("seed")]
    words = {word.replace(" ", "_") for word in get_args(Word)}
    assert {name for name in columns if name not in ("State", "Executor")} == words | {"known"}


def test_another_seed_asks_and_records_nothing_again(repository: Path) -> None:
    """What a model answers, and its values, serve every seed; which facts find neurons does not."""
    run(repository, "git", "add", "-A")
    run(repository, "git", "commit", "-q", "--allow-empty", "-m", "Sets of six")
    command = ("dvc", "exp", "run", "--temp", "-n", "another", "-S", "seed=1", "relation_neurons")
    assert ran(run(repository, *command)) == {"check", "facts", "relation_neurons"}
