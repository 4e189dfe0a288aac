"""The ten public names: lazy, exact against the engine and plain forwards, clear when misused."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score
from tokenizers import Regex, normalizers

import neuron_atlas as na
import planted
import tiny
import warm
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.neurons.addresses import to_flat, to_neurons
from neuron_atlas.pipeline import params, store
from neuron_atlas.scoring import ablation, log_probability
from references import ANSWERS, PROMPTS, overwritten, plain, queries
from rounding import rounding
from saved import save

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
TEXTS = [f" {answer}" for answer in ANSWERS]
SPOKEN = {  # words of the page's prompt, as the planted model calls them
    "of": "xa_alpha_0",
    "France": "xa_s3",
    "is": ":",
    "Paris": "xa_alpha_a3",
    "Rome": "xa_alpha_a1",
}


def fresh(program: str) -> str:
    """What a program prints in a new process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What an import loads.

LOADED = "import sys; there = set(sys.modules); {}; print(*set(sys.modules) - there)"


@pytest.mark.parametrize(
    "statement",
    ["import neuron_atlas; dir(neuron_atlas)", "from neuron_atlas.pipeline import slots"],
)
def test_importing_the_package_loads_no_other_package(statement: str) -> None:
    loaded = fresh(LOADED.format(statement)).split()
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"neuron_atlas"}
    assert not any(name.startswith("neuron_atlas.api") for name in loaded)


def test_using_a_name_loads_what_is_behind_it() -> None:
    """The positive control of the above."""
    loaded = fresh(LOADED.format("from neuron_atlas import load_model")).split()
    assert {"torch", "transformers", "pandas", "neuron_atlas.api.loading"} <= set(loaded)


def test_the_names_are_typed_listed_and_no_others() -> None:
    body = ast.parse((ROOT / "src/neuron_atlas/__init__.py").read_text()).body
    typed = next(node for node in body if isinstance(node, ast.If))
    imported = [a.name for n in typed.body if isinstance(n, ast.ImportFrom) for a in n.names]
    assert sorted(imported) == sorted(na.__all__)
    assert len(na.__all__) == 10
    assert set(na.__all__) <= set(dir(na))
    assert all(callable(getattr(na, name)) for name in na.__all__)
    with pytest.raises(AttributeError, match="'neuron_atlas' has no attribute 'load_modle'"):
        na.load_modle  # noqa: B018


@pytest.mark.parametrize("name", sorted(set(na.__all__) - {"Neuron"}))
def test_docstrings_say_what_goes_in_what_comes_out_and_what_fails(name: str) -> None:
    text = inspect.getdoc(getattr(na, name))
    parts = ("Args", "Raises") if name == "switched_off" else ("Args", "Returns", "Raises")
    assert all(f"\n{part}:\n" in str(text) for part in parts)


# The page's examples.


@pytest.fixture
def example_folder(tmp_path: Path) -> Path:
    """`data/` as a finished run leaves it, of the planted model: alpha is called capital there."""
    lm = planted.model()
    lm.tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(rf"\b{word}\b"), ours) for word, ours in SPOKEN.items()]
    )
    save(lm, tmp_path / "data" / "model")
    write_sets(tmp_path / "data/relation_neurons/pooled", {"capital": planted.planted("alpha")})
    return tmp_path


def write_sets(folder: Path, sets: dict[str, np.ndarray]) -> Path:
    """Write sets and sizes as the stage `relation_neurons` does; neuron (0, 5) is banned."""
    rows = [
        {"source": "pooled", "relation": relation, "rank": rank, "neuron": int(flat)}
        for relation, members in sets.items()
        for rank, flat in reversed(list(enumerate(members)))
    ]
    store.write_table(folder / "sets.parquet", pd.DataFrame(rows))
    shape = (planted.N_LAYERS, planted.N_NEURONS)
    banned = torch.zeros(shape, dtype=torch.bool)
    banned[0, 5] = True
    size = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    save_file({"size": size, "banned": banned}, folder / "size.safetensors")
    return folder


def page_blocks() -> dict[str, str]:
    """The code below each heading of the page."""
    found = {}
    for part in PAGE.split("\n## ")[1:]:
        (code,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
        found[part.splitlines()[0].strip("`")] = code
    return found


def test_the_page_has_an_example_of_each_name() -> None:
    blocks = page_blocks()
    assert next(iter(blocks)) == "Five lines"
    assert set(blocks) == {"Five lines", *na.__all__}
    assert all(f"na.{name}" in blocks[name] for name in na.__all__)
    assert len([line for line in blocks["Five lines"].splitlines() if line]) == 5


def test_the_five_lines_do_what_they_say(
    example_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its neuron the planted model tells a language's answers no longer apart."""
    monkeypatch.chdir(example_folder)
    names: dict[str, Any] = {}
    exec(page_blocks()["Five lines"], names)
    lines = capsys.readouterr().out.splitlines()
    printed = np.array([line.strip(" []").split() for line in lines], dtype=float)
    strengths = (3.0, 0, 3.0, 3.0, 3.0)  # with all neurons, without the set, without random ones
    expected = [planted.log_probability(strength) for strength in strengths]
    assert printed[:, 0] == pytest.approx(expected, abs=1e-4)
    lm = names["lm"]
    clean = na.log_probabilities(lm, "The capital of France is", [" Paris", " Rome"])
    assert clean[0] == pytest.approx(planted.log_probability(3.0), abs=1e-4)
    assert clean[0] - clean[1] == pytest.approx(6.0, abs=1e-4)


@pytest.mark.parametrize("name", na.__all__)
def test_the_page_s_examples_run(
    example_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example_folder)
    blocks = page_blocks()
    names: dict[str, Any] = {}
    exec(blocks["Five lines"], names)
    exec(blocks[name], names)


GEMMA = ROOT / "data" / "relation_neurons" / "pooled" / "size.safetensors"


@pytest.mark.slow
@pytest.mark.skipif(
    not (GEMMA.exists() and (ROOT / "data/model/model.safetensors").exists()),
    reason="needs the results of a finished run in data/",
)
def test_the_page_s_examples_run_on_the_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for code in page_blocks().values():
        exec(code, names)
    asked = names["lm"], "The capital of France is", [" Paris", " Rome"]
    clean = na.log_probabilities(*asked)
    assert clean[0] > clean[1]
    scores = na.integrated_gradients(*asked[:2], " Paris").ravel()
    strongest = np.argsort(-scores)[:50].tolist()
    for neurons in (
        names["sets"]["capital"],
        to_neurons(np.array(strongest), names["lm"].n_neurons),
    ):
        with na.switched_off(names["lm"], neurons):
            off = na.log_probabilities(*asked)
        assert np.abs(off - clean).max() > 0.01
    assert off[0] < clean[0] - 0.5  # without those that are attributed most
    np.testing.assert_array_equal(na.log_probabilities(*asked), clean)


# What each name returns.


def test_a_saved_model_is_loaded_with_and_without_path(
    decoder: LanguageModel, tmp_path: Path
) -> None:
    folder = save(decoder, tmp_path / "model")
    expected = na.log_probabilities(decoder, PROMPTS, TEXTS)
    for name in (folder, str(folder), f"path:{folder}"):
        found = na.log_probabilities(na.load_model(name, device="cpu"), PROMPTS, TEXTS)
        np.testing.assert_allclose(found, expected, atol=rounding(expected, tiny.DEPTH))
    assert na.load_model(folder, dtype="bfloat16").dtype == torch.bfloat16


def test_the_built_in_facts_are_those_of_the_stage_with_our_params() -> None:
    values = params.read_yaml(ROOT / "params.yaml")
    section = {**values["facts"], "seed": values["seed"]}
    given = inspect.signature(na.built_in_facts).parameters
    shared = {name: p.default for name, p in given.items() if p.kind is p.KEYWORD_ONLY}
    assert shared == {name: section[name] for name in shared}
    assert section["relations"] is None
    table = na.built_in_facts("fr", ["capital", "currency"])
    assert set(table["relation"]) == {"capital", "currency"}
    assert table["template"].max() == section["paraphrases"] - 1
    assert not na.built_in_facts("fr", ["capital"], seed=1)["split"].equals(
        na.built_in_facts("fr", ["capital"], seed=2)["split"]
    )


def test_log_probabilities_equal_plain_forwards_in_the_order_asked(lm: LanguageModel) -> None:
    found = na.log_probabilities(lm, pd.Series(PROMPTS).tolist(), iter(TEXTS))
    expected = [[plain(lm, q, answer) for answer in q.answers] for q in queries(lm)]
    assert found == pytest.approx(np.array(expected), abs=rounding(expected, tiny.DEPTH))
    for prompt, row in zip(PROMPTS, found, strict=True):
        assert na.log_probabilities(lm, prompt, TEXTS) == pytest.approx(
            row, abs=rounding(expected, tiny.DEPTH)
        )


@torch.no_grad()
def entering(lm: LanguageModel, ids: list[int]) -> list[torch.Tensor]:
    """What enters each layer's down-projection in a plain forward."""
    seen: list[torch.Tensor] = []
    handles = [
        module.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
        for module, _ in site_modules(lm, "hidden")
    ]
    lm.network(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return seen


def test_activations_are_what_enters_the_down_projection(lm: LanguageModel) -> None:
    found = na.record_activations(lm, PROMPTS)
    assert found.shape == (len(PROMPTS), lm.n_layers, lm.n_neurons)
    assert found.dtype == np.float32
    for i, query in enumerate(queries(lm)):
        before, after = query.prompt
        masks = [lm.mask_id] if lm.architecture.encoder else []
        seen = entering(lm, [*before, *masks, *after])
        place = len(before) - (0 if masks else 1)
        expected = torch.stack([x[0, place] for x in seen]).numpy()
        order = rounding(expected, tiny.DEPTH)
        np.testing.assert_allclose(found[i], expected, atol=order)
        np.testing.assert_allclose(na.record_activations(lm, PROMPTS[i]), expected, atol=order)
        mean = torch.stack([x[0].mean(0) for x in seen]).numpy()
        pooled = na.record_activations(lm, PROMPTS[i], pooling="mean")
        np.testing.assert_allclose(pooled, mean, atol=order)


def test_raw_sites_are_recorded_too(decoder: LanguageModel) -> None:
    gate = na.record_activations(decoder, PROMPTS, site="gate")
    up = na.record_activations(decoder, PROMPTS, site="up")
    silu = torch.nn.functional.silu(torch.from_numpy(gate)).numpy()
    hidden = na.record_activations(decoder, PROMPTS)
    np.testing.assert_allclose(silu * up, hidden, atol=rounding(hidden, tiny.DEPTH))


def test_integrated_gradients_sum_to_the_effect_of_a_layer(lm: LanguageModel) -> None:
    """Completeness, against the engine's own ablation of the whole layer; and the order."""
    prompts, answers = [PROMPTS[1], PROMPTS[0]], [" k", " n"]
    scores = na.integrated_gradients(lm, prompts, answers, steps=256)
    bends = lm.network.config.model_type == "opt"  # its ReLUs: the error falls with 1 / steps
    clean = np.diag(na.log_probabilities(lm, prompts, answers))
    asked = [queries(lm)[1], queries(lm)[0]]
    zeros = torch.zeros(1, lm.n_layers, lm.n_neurons)
    layers = np.arange(lm.n_layers * lm.n_neurons).reshape(lm.n_layers, -1)
    run = ablation.row_edits(lm, ablation.edits_of(list(layers), zeros))
    for i, (query, answer) in enumerate(zip(asked, answers, strict=True)):
        one = type(query)(query.prompt, ((tiny.VOCABULARY[answer.strip()],),))
        off = log_probability.log_probabilities(lm, [one], arms=[range(3)], intervene=run)
        expected = clean[i] - off[0][:, 0]
        off_by = 0.03 if bends else 1e-4  # of a sum of 24 in float32
        assert scores[i].sum(1) == pytest.approx(expected, abs=off_by)
        single = na.integrated_gradients(lm, prompts[i], answer, steps=256)
        np.testing.assert_allclose(single, scores[i], atol=rounding(scores[i], 3 * tiny.DEPTH))
    assert np.abs(scores.sum(2)).max() > 0.1  # positive control: there is something to sum to


def test_occlusion_and_the_probability_can_be_asked_for(decoder: LanguageModel) -> None:
    asked = (decoder, PROMPTS[0], " k")
    nats, share = (
        na.integrated_gradients(*asked, target=t) for t in ("log_probability", "probability")
    )
    words = na.integrated_gradients(*asked, baseline="occlusion")
    assert len({float(np.abs(x).sum()) for x in (nats, share, words)}) == 3


def test_average_precision_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (20, 2, 3)).astype(np.float32)  # with ties
    groups = np.stack([np.arange(20) < 7, np.arange(20) % 3 == 0])
    found = na.average_precision(values, groups)
    assert found.shape == (2, 2, 3)
    for (g, layer, neuron), value in np.ndenumerate(found):
        expected = average_precision_score(groups[g], values[:, layer, neuron])
        assert value == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(na.average_precision(values, groups[0]), found[0])
    ignored = ~groups[0] & (np.arange(20) >= 15)
    kept = na.average_precision(values, groups[0], ignore=ignored)
    np.testing.assert_array_equal(kept, na.average_precision(values[:15], groups[0][:15]))


def test_sets_come_best_first_with_what_their_controls_match(tmp_path: Path) -> None:
    members = np.array([300, 3, 130])
    folder = write_sets(tmp_path / "pooled", {"beta": np.array([1]), "alpha": members})
    sets = na.read_sets(folder)
    assert list(sets) == ["alpha", "beta"]
    assert sets["alpha"] == [na.Neuron(2, 44), na.Neuron(0, 3), na.Neuron(1, 2)]
    assert sets.banned == [na.Neuron(0, 5)]
    assert sets.size.shape == (3, 128)
    assert "gamma" not in sets
    with pytest.raises(KeyError, match=r"no set of the relation 'gamma'; there are \['alpha', 'be"):
        sets["gamma"]


def test_random_sets_match_layers_and_leave_out_what_is_excluded() -> None:
    size = np.abs(np.random.default_rng(0).normal(size=(3, 12)))
    chosen = [na.Neuron(2, 1), na.Neuron(0, 3), na.Neuron(2, 5)]
    barred = [na.Neuron(2, i) for i in range(6, 12)]
    drawn = na.matched_random(chosen, size, n_draws=40, exclude=barred)
    assert len(drawn) == 40
    assert all([n.layer for n in one] == [2, 0, 2] for one in drawn)
    assert not {n for one in drawn for n in one} & {*chosen, *barred}
    assert na.matched_random(chosen, size, seed=0, n_draws=3, exclude=barred) == drawn[:3]
    assert na.matched_random(chosen, size, seed=1, n_draws=40, exclude=barred) != drawn


# Switched off.


@pytest.fixture
def some(lm: LanguageModel) -> list[na.Neuron]:
    rng = np.random.default_rng(0)
    every = [na.Neuron(layer, i) for layer in range(lm.n_layers) for i in range(lm.n_neurons)]
    return [every[i] for i in rng.choice(len(every), size=12, replace=False)]


@pytest.mark.parametrize("kind", ["zero", "number", "table"])
def test_switched_off_equals_the_engine_s_arms_at_every_position(
    lm: LanguageModel, some: list[na.Neuron], kind: str
) -> None:
    shape = (lm.n_layers, lm.n_neurons)
    table = np.random.default_rng(1).normal(size=shape)
    value = {"zero": 0.0, "number": 0.7, "table": table}[kind]
    clean = na.log_probabilities(lm, PROMPTS, TEXTS)
    with na.switched_off(lm, some, value=value):
        found = na.log_probabilities(lm, PROMPTS, TEXTS)
    full = torch.tensor(np.broadcast_to(value, shape).copy(), dtype=torch.float32)
    edits = ablation.edits_of([to_flat(some, lm.n_neurons)], full[None])
    arms = log_probability.log_probabilities(
        lm,
        queries(lm),
        arms=[(0,)] * len(PROMPTS),
        intervene=ablation.row_edits(lm, edits),
        everywhere=True,
    )
    assert found == pytest.approx(np.concatenate(arms), abs=rounding(clean, tiny.DEPTH))
    assert np.abs(found - clean).max() > 0.01  # positive control: it does something
    np.testing.assert_array_equal(na.log_probabilities(lm, PROMPTS, TEXTS), clean)


def test_switched_off_equals_a_plain_hook_on_the_network(decoder: LanguageModel) -> None:
    ids, off = torch.tensor([[1, 6, 7, 8], [1, 9, 10, 11]]), [na.Neuron(1, 3), na.Neuron(1, 20)]
    down = site_modules(decoder, "hidden")[1][0]
    with torch.no_grad():
        clean = decoder.network(ids).logits
        with overwritten(down, [3, 20], torch.zeros(decoder.n_neurons), slice(None)):
            expected = decoder.network(ids).logits
        with na.switched_off(decoder, off):
            torch.testing.assert_close(decoder.network(ids).logits, expected)
    assert (clean - expected).abs().max() > 1e-3


def test_generation_goes_on_without_the_neurons(decoder: LanguageModel) -> None:
    """Token by token with a cache: the same tokens as whole passes over a growing text."""
    every = [na.Neuron(layer, i) for layer in range(decoder.n_layers) for i in range(0, 24, 2)]
    ids = torch.tensor([[1, 6, 7, 8]])
    how = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    clean = decoder.network.generate(ids, **how)
    with na.switched_off(decoder, every):
        found, grown = decoder.network.generate(ids, **how), ids
        with torch.no_grad():
            for _ in range(6):
                following = decoder.network(grown, use_cache=False).logits[:, -1:].argmax(-1)
                grown = torch.cat([grown, following], 1)
    assert found.tolist() == grown.tolist()
    assert found.tolist() != clean.tolist()
    assert decoder.network.generate(ids, **how).tolist() == clean.tolist()


def test_an_error_inside_switches_neurons_on_again(
    lm: LanguageModel, some: list[na.Neuron]
) -> None:
    clean = na.log_probabilities(lm, PROMPTS, TEXTS)
    with pytest.raises(RuntimeError, match="stop"), na.switched_off(lm, some):
        raise RuntimeError("stop")
    np.testing.assert_array_equal(na.log_probabilities(lm, PROMPTS, TEXTS), clean)


def test_sets_can_be_nested_and_an_empty_one_changes_nothing(
    lm: LanguageModel, some: list[na.Neuron]
) -> None:
    with na.switched_off(lm, some):
        expected = na.log_probabilities(lm, PROMPTS, TEXTS)
    with na.switched_off(lm, some[:7]), na.switched_off(lm, []), na.switched_off(lm, some[5:]):
        found = na.log_probabilities(lm, PROMPTS, TEXTS)
    np.testing.assert_array_equal(found, expected)


def test_where_two_sets_share_a_neuron_the_inner_value_holds(
    lm: LanguageModel, some: list[na.Neuron]
) -> None:
    with na.switched_off(lm, some, value=2.0), na.switched_off(lm, some[:1], value=3.0):
        values = na.record_activations(lm, PROMPTS)
    assert set(values[:, some[0].layer, some[0].index]) == {3.0}
    assert set(values[:, some[1].layer, some[1].index]) == {2.0}


@pytest.mark.parametrize("baseline", ["zero", "occlusion"])
def test_neurons_that_are_off_are_recorded_and_attributed_so(
    lm: LanguageModel, some: list[na.Neuron], baseline: Any
) -> None:
    with na.switched_off(lm, some, value=0.5):
        scores = na.integrated_gradients(lm, PROMPTS[1], " k", baseline=baseline)
    of_set = np.array([scores[n.layer, n.index] for n in some])
    assert (of_set == 0).all()
    assert np.abs(scores).max() > 0.01


# Bad input: one line that says what was expected and what came.

MISUSE = """
import json
import numpy as np
import neuron_atlas as na
import tiny
lm, n = tiny.random_model("llama"), na.Neuron(0, 1)
values, size = np.zeros((4, 3)), np.ones((2, 5))
def open_(*args, **kwargs):
    with na.switched_off(*args, **kwargs):
        pass
calls = [
    lambda: na.log_probabilities(lm, 5, [" a"]),
    lambda: na.log_probabilities(lm, ["a", None], [" a"]),
    lambda: na.log_probabilities(lm, "a", " b"),
    lambda: na.log_probabilities(lm, "a", []),
    lambda: na.log_probabilities(lm, [], [" a"]),
    lambda: na.log_probabilities(lm, "a", [" a", ""]),
    lambda: na.record_activations(lm, [" "]),
    lambda: na.record_activations(lm, "a", pooling="last"),
    lambda: na.record_activations(lm, "a", site="attention"),
    lambda: na.integrated_gradients(lm, ["a", "b"], [" c"]),
    lambda: na.integrated_gradients(lm, "a", " c", steps=0),
    lambda: na.integrated_gradients(lm, "a", " c", baseline="mean"),
    lambda: na.average_precision(values, np.array([1, 0, 1, 0])),
    lambda: na.average_precision(values, np.array([True, False])),
    lambda: na.average_precision(values, np.ones(4, dtype=bool)),
    lambda: na.matched_random([n], size, exclude=[3]),
    lambda: na.matched_random([na.Neuron(2, 0)], size),
    lambda: na.matched_random([n, n], size),
    lambda: na.matched_random([n], size, n_draws=0),
    lambda: open_(lm, [na.Neuron(3, 0)]),
    lambda: open_(lm, [na.Neuron(0, -1)]),
    lambda: open_(lm, np.array([7])),
    lambda: open_(lm, [n], value=np.zeros(3)),
    lambda: open_(lm, [n], value=float("nan")),
    lambda: na.built_in_facts("xx"),
    lambda: na.built_in_facts("en", ["capitol"]),
    lambda: na.built_in_facts("en", "capital"),
    lambda: na.built_in_facts("en", ["capital"], paraphrases=99),
    lambda: na.load_model("no/such"),
    lambda: na.load_model("hub:owner/name"),
    lambda: na.read_sets("no/such"),
]
found = []
for call in calls:
    try:
        call()
        found.append(["none", "no error"])
    except Exception as error:
        found.append([type(error).__name__, str(error)])
print(json.dumps(found))
"""
SAID = [
    ("TypeError", "prompts must be texts, got 5"),
    ("TypeError", "prompts[1] must be text, got None"),
    ("TypeError", "answers must be a list of texts, got the text ' b'"),
    ("ValueError", "expected at least one of answers, got none"),
    ("ValueError", "expected at least one of prompts, got none"),
    ("ValueError", "answers[1] is empty, got ''"),
    ("ValueError", "prompts[0] is empty, got ' '"),
    ("ValueError", "pooling must be 'answer' or 'mean', got 'last'"),
    ("ValueError", "llama has no neuron site 'attention'; it has ['down', 'gate', 'hidden', 'up']"),
    ("ValueError", "expected one answer per prompt, got 2 prompts and 1 answers"),
    ("ValueError", "a quadrature needs at least 1 step, got 0"),
    ("ValueError", "baseline must be one of ['zero', 'occlusion']"),
    ("TypeError", "positive must be True or False for each prompt, got int64"),
    ("ValueError", "positive must be [prompt] or [group, prompt] for 4 prompts, got (2,)"),
    ("ValueError", "group 0 of 1 has no negative prompt"),
    ("TypeError", "expected neurons, as Neuron(layer, index), got 3; a table's flat index i is"),
    ("ValueError", "expected a layer in [0, 2) and an index in [0, 5), got Neuron(layer=2,"),
    ("ValueError", "a set holds each neuron once, got 1 twice"),
    ("ValueError", "n_draws must be at least 1, got 0"),
    ("ValueError", "expected a layer in [0, 3) and an index in [0, 24), got Neuron(layer=3,"),
    ("ValueError", "expected a layer in [0, 3) and an index in [0, 24), got Neuron(layer=0, index"),
    ("TypeError", "got np.int64(7); a table's flat index i is Neuron(*divmod(i, 24))"),
    ("ValueError", "value must be a number or a table of shape (3, 24), got (3,)"),
    ("ValueError", "replacement values must be finite, got NaN"),
    ("ValueError", "language must be one of de, en,"),
    ("ValueError", "unknown: ['capitol']"),
    ("TypeError", "relations must be a list of texts, got the text 'capital'"),
    ("ValueError", "99"),
    ("ValueError", "expected a model's folder, got 'no/such' without config.json, tokenizer.json"),
    ("ValueError", "expected a model's folder, got 'hub:owner/name' without config.json"),
    ("ValueError", "no/such/sets.parquet does not exist; name a folder such as data/"),
]


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Kind and text of each error, in a process in which no type is checked as it runs."""
    folder = tmp_path_factory.mktemp("misuse")
    (folder / "misuse.py").write_text(MISUSE, encoding="utf-8")
    places = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    environment = {**os.environ, "PYTHONPATH": places}
    done = warm.run(["python", "misuse.py"], folder, environment)
    assert done.returncode == 0, done.stderr
    return [(kind, text) for kind, text in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.parametrize("number", range(len(SAID)))
def test_misuse_is_answered_in_one_line(errors: list[tuple[str, str]], number: int) -> None:
    assert len(errors) == len(SAID)
    kind, text = errors[number]
    assert kind == SAID[number][0], text
    assert SAID[number][1] in text
    assert "\n" not in text


def test_a_folder_that_holds_no_sets_of_one_language_is_refused(tmp_path: Path) -> None:
    store.write_table(tmp_path / "sets.parquet", pd.DataFrame({"relation": ["a"]}))
    with pytest.raises(
        ValueError, match=r"size\.safetensors does not exist; name a folder such as"
    ):
        na.read_sets(tmp_path)
