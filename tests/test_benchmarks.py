"""The measuring itself: what is compared, fitted, counted and written; no peer is needed."""

import functools
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import attributing
import attribution_peers
import bench
import flops
import gpu
import growth
import machine
import memory
import ranking
import tables
import tiny
from defaults import by_default
from neuron_atlas.attributions.quadrature import midpoint, radau
from neuron_atlas.model import kernels
from neuron_atlas.pipeline import stage_times
from rounding import rounding
from shapes import Shape, shape
from timing import Comparison, Contender, Timed, absolute, interleave, relative, row
from untouched import untouched

NONE = np.zeros(1)


def contender(run: Callable[[], np.ndarray], share: float = 1.0) -> Contender:
    return Contender(lambda: run, share)


@pytest.fixture(params=["gpt2", "bert"])
def small(request: pytest.FixtureRequest) -> Shape:
    """A tiny decoder or encoder with the prompts of the benchmark."""
    config = tiny.CONFIGS[request.param]
    return shape(request.param, config=config, n_prompts=3)


def test_a_peer_has_the_attention_of_transformers_and_our_weights(small: Shape) -> None:
    small.lm.network.set_attn_implementation(kernels.NAME)
    other = by_default(small.lm)
    networks = small.lm.network, other.network
    assert [n.config._attn_implementation for n in networks] == [kernels.NAME, "sdpa"]
    weights = [[p.data_ptr() for p in n.parameters()] for n in networks]
    assert weights[0] == weights[1]
    assert not set(networks[0].modules()) & set(networks[1].modules())


def test_contenders_take_turns_and_the_first_round_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, order = [0.0], []
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def taking(name: str, seconds: list[float]) -> Contender:
        left = iter(seconds)

        def run() -> np.ndarray:
            order.append(name)
            now[0] += next(left)
            return np.array([now[0]])

        return contender(run, share=0.5 if name == "b" else 1.0)

    both = {"a": taking("a", [100, 1, 3, 2]), "b": taking("b", [50, 4, 4, 4])}
    found = interleave(both, rounds=4)
    assert order == ["a", "b"] * 4
    assert found["a"].seconds == 2
    assert found["b"].seconds == 8  # half of the work took 4
    assert found["a"].result == [100]  # the first round's, though its time is not counted


def test_only_our_runs_multiply_as_we_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = functools.partial(torch.set_float32_matmul_precision, "medium")
    monkeypatch.setattr("neuron_atlas.model.kernels.choose_matrix_products", choose)
    seen: dict[str, list[str]] = {"ours": [], "theirs": []}

    def seeing(name: str) -> Contender:
        def run() -> np.ndarray:
            seen[name].append(torch.get_float32_matmul_precision())
            return NONE

        return Contender(lambda: run, ours=name == "ours")

    interleave({name: seeing(name) for name in seen}, rounds=2)
    assert seen == {"ours": ["medium"] * 2, "theirs": ["highest"] * 2}


def test_a_single_round_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", itertools.count(step=2).__next__)
    assert interleave({"a": contender(lambda: NONE)}, rounds=1)["a"].seconds == 2
    with pytest.raises(ValueError, match="at least 1 round, got 0"):
        interleave({"a": contender(lambda: NONE)}, rounds=0)


def test_an_error_names_its_contender() -> None:
    def fails() -> np.ndarray:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone") as caught:
        interleave({"good": contender(lambda: NONE), "bad": contender(fails)}, rounds=1)
    assert caught.value.__notes__ == ["This happened in the contender 'bad'."]


def test_differences_are_the_largest_where_the_peer_has_results() -> None:
    theirs = np.array([1.0, -4.0, np.nan])
    assert absolute(np.array([1.0, -3.0, 99.0]), theirs) == 1
    assert relative(np.array([1.0, -3.0, 99.0]), theirs) == 0.25
    assert relative(theirs[:2], theirs[:2]) == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ([np.nan], [1.0], "finite results"),
        ([1.0], [np.nan], "finite results"),
        ([1.0, 2.0], [1.0], "one shape"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    ours: list[float], theirs: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        absolute(np.array(ours), np.array(theirs))


CONTRACT = ["name", "unit", "ours_s", "peer", "peer_version", "peer_s", "ratio", "parity"]


def one_row(**more: Any) -> dict[str, Any]:
    timed = {"us": Timed(0.5, np.array([1.0])), "them": Timed(2.0, np.array([1.25]))}
    pair = Comparison("extraction", "torch", "us", "them", **more)
    return row(pair, timed, what="one prompt", memory={"us": 7})


def test_a_row_has_the_agreed_keys() -> None:
    found = one_row(about=lambda timed: {"n": len(timed)})
    assert list(found)[: len(CONTRACT)] == CONTRACT
    assert found["ratio"] == 4
    assert (found["parity"], found["parity_unit"]) == (0.2, "of the maximum")
    assert (found["ours_mb"], found["peer_mb"], found["n"]) == (7, None, 2)
    assert one_row(gap=absolute)["parity_unit"] == "nats"
    without = one_row(gap=None, reason="because")
    assert (without["parity"], without["reason"]) == (None, "because")


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_fitted_exponent_is_the_power_of_the_growth(power: float) -> None:
    sizes = [10, 20, 40]
    assert growth.exponent(sizes, [3 * n**power for n in sizes]) == pytest.approx(power)
    with pytest.raises(ValueError, match="two sizes"):
        growth.exponent([1], [1.0])


def test_work_that_grows_linearly_is_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def make(size: int) -> Callable[[], object]:
        def run() -> None:
            now[0] += 5 * size

        return run

    found = growth.time_axis(growth.Axis("things", "work", (2, 4, 8), make), rounds=3)
    assert found["seconds"] == [10, 20, 40]
    assert found["exponent"] == pytest.approx(1)


@pytest.mark.parametrize("axis", growth.AXES, ids=lambda axis: f"{axis.name}-{axis.what[:11]}")
def test_every_axis_runs_at_its_least_size(axis: growth.Axis) -> None:
    assert axis.make(2)() is not None


PAGE = f"# Title\n{tables.START}old\n{tables.END}below\n"


def test_only_what_stands_between_the_markers_changes() -> None:
    once = tables.page(PAGE, "new\n")
    assert once == f"# Title\n{tables.START}new\n{tables.END}below\n"
    assert tables.page(once, "new\n") == once


@pytest.mark.parametrize("text", ["", tables.START, tables.END + tables.START, PAGE + PAGE])
def test_a_page_without_its_two_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        tables.page(text, "new\n")


def test_the_real_page_has_its_markers() -> None:
    text = bench.PAGE.read_text(encoding="utf-8")
    assert "a table\n" in tables.page(text, "a table\n")


def test_tables_have_a_line_a_row_and_as_many_cells_in_each() -> None:
    bare = one_row(gap=None, reason="because")
    full = one_row() | {"nodes": 3, "ours_completeness_error": 0.1, "peer_completeness_error": 0.2}
    full |= {"share_of_gemm_peak": 0.5, "gemm_peak_gflops": 99.0, "same_top_20": 19}
    lines = tables.comparison([bare, full]).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| 4x | - |" in lines[2]
    assert "50% of the 99 GFLOP/s" in lines[3]
    assert "3 Radau points" in lines[3]
    assert "19 of the 20" in lines[3]
    axis = {"axis": "facts", "work": "w", "sizes": [1, 2], "seconds": [0.5, 1], "exponent": 1.0}
    assert tables.growth([axis]).splitlines()[2] == "| facts | w | 1, 2 | 0.5, 1 | 1.00 |"


def test_a_model_comes_back_as_it_was_after_an_error() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    first = network[0]

    def peer() -> None:
        with untouched(network):
            network[0] = nn.Identity()
            network[1].register_forward_hook(lambda *_: None)
            assert network[0] is not first
            raise RuntimeError("peer")

    with pytest.raises(RuntimeError, match="peer"):
        peer()
    assert network[0] is first
    assert not network[1]._forward_hooks


def test_the_model_s_own_hooks_stay() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    network[0].register_forward_pre_hook(lambda *_: None)
    with untouched(network):
        pass
    assert len(network[0]._forward_pre_hooks) == 1


def test_both_tokenizers_give_the_same_tokens(small: Shape) -> None:
    ids = small.peer_tokenizer()(small.peer_prompt)["input_ids"]
    (start,) = _points(small)
    assert ids == list(start.ids)
    assert len(ids) == 14
    assert small.peer_tokenizer().convert_tokens_to_ids(small.answer[0]) == small.answer[1]


def _points(asked: Shape) -> list[Any]:
    from neuron_atlas.attributions.questions import points

    return points(asked.lm, asked.questions[0])


def test_captum_gives_our_scores(small: Shape) -> None:
    ours = attributing._ours(small, attribution_peers.MIDPOINT, n_facts=3)()
    theirs = attribution_peers.captum(small)()
    assert relative(ours, theirs) < rounding(1.0, 3 * tiny.DEPTH)  # as in test_attribution
    other = attributing._ours(small, attribution_peers.INCLUSIVE)()
    assert relative(other, theirs) > 1e-4


def test_the_fewest_points_are_as_complete_and_one_fewer_is_not(small: Shape) -> None:
    rule = midpoint(4)
    limit = attributing.error(*attributing._attributed(small, rule))
    n = len(attributing.fewest(small, rule).nodes)
    errors = [attributing.error(*attributing._attributed(small, radau(k))) for k in range(1, n + 1)]
    assert errors[-1] <= limit
    assert all(e > limit for e in errors[:-1])


def test_flops_of_extraction_are_counted_by_hand() -> None:
    lm = tiny.random_model("gpt2")
    weights = 16 * 48 + 16 * 16 + 16 * 24 + 24 * 16  # attention in and out, up, down
    token = 2 * weights + 4 * 5 * 16  # and attention over five tokens
    assert flops.extraction(lm, [5]) == 3 * 5 * token
    assert flops.extraction(lm, [5, 5]) == 2 * flops.extraction(lm, [5])


def test_flops_of_attribution_are_counted_by_hand() -> None:
    lm = tiny.random_model("gpt2")
    token = flops.extraction(lm, [5]) / 15
    vocabulary = len(tiny.WORDS)
    entering = 3 * 2 * 24 * 16 + (2 + 1) * token + 3 * 2 * 16 * vocabulary
    clean = flops.extraction(lm, [5])
    assert flops.attribution(lm, 5, 0) == clean
    assert flops.attribution(lm, 5, 4) == clean + 8 * entering


def test_the_peak_is_a_share_of_the_products_rate() -> None:
    peak = Timed(machine.TIMES * 2 * machine.SIZE**3 / 1e9, NONE)  # 1 GFLOP/s
    found = machine.share_of_peak(3e9, Timed(6.0, NONE), peak)
    assert found == {"needed_gflop": 3.0, "gemm_peak_gflops": 1.0, "share_of_gemm_peak": 0.5}


def test_memory_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(bench.HERE))
    program = "import memory; x = b'x' * {}; del x; print(memory.own_peak_mb())"
    small, large = (
        memory.peak_mb([sys.executable, "-c", program.format(n)]) for n in (1, 300 * 2**20)
    )
    assert 290 < large - small < 310
    with pytest.raises(subprocess.CalledProcessError, match="status 3"):
        memory.peak_mb([sys.executable, "-c", "raise SystemExit(3)"])


def test_average_precision_of_both_contenders_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"N_PROMPTS": 60, "N_NEURONS": 20, "SAMPLE": 5}.items():
        monkeypatch.setattr(ranking, name, value)
    work = ranking.benchmark()
    timed = interleave(work.contenders, rounds=1)
    (found,) = (row(pair, timed, what=work.what, memory={}) for pair in work.rows)
    assert found["parity"] < 1e-12
    assert np.isnan(timed["scikit-learn"].result[:, 5:]).all()
    assert not torch.isnan(torch.from_numpy(timed["ours"].result)).any()


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PEERS", ["torch", "no-such-peer"])
    with pytest.raises(ValueError, match="no-such-peer is not installed; run `make bench`"):
        bench.require_peers()


def test_the_rows_have_the_agreed_names() -> None:
    made = {name: make() for name, make in bench.benchmarks(bench.HERE).items()}
    names = {pair.name for work in made.values() for pair in work.rows}
    stems = {"attribution-decoder", "attribution-encoder", "extraction", "pair-ablation"}
    assert stems | {"average-precision"} <= names
    variants = ("-equal-completeness", "-bf16", "-8-facts", "-stop", "-last-logits", "")
    assert all(any(n.startswith(s) for s in stems | {"average-precision"}) for n in names)
    assert all(n.endswith(variants) for n in names)
    for work in made.values():
        used = {who for pair in work.rows for who in (pair.ours, pair.theirs)}
        assert used <= set(work.contenders)
        assert set(work.memory) <= set(work.contenders)
        assert {pair.peer for pair in work.rows} <= set(bench.PEERS)


def test_a_folder_without_a_model_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", str(bench.HERE)])
    with pytest.raises(SystemExit):
        bench.parsed()
    assert "holds no model; run `dvc repro model` first" in capsys.readouterr().err


@pytest.mark.parametrize("times", [False, True])
def test_the_benchmark_of_devices_runs_on_a_cpu(
    times: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_times.record("recall@en", 12.5, tmp_path)
    options = ["--times", str(tmp_path)] if times else []
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(
        sys, "argv", ["gpu.py", str(out), "--shape", "tiny", "--device", "cpu", *options]
    )
    gpu.main()
    found = json.loads(out.read_text())
    assert found["device"] == "cpu"
    assert found["extraction"]["prompts_per_s"] > 0
    assert found["attribution"]["rows_per_s"] > 0
    assert 0 < found["attribution"]["share_of_peak"] < 10
    assert found.get("stages_s") == ({"recall@en": 12.5} if times else None)


def test_the_seven_billion_are_those_of_llama() -> None:
    with torch.device("meta"):
        network = gpu.tr.AutoModelForCausalLM.from_config(
            gpu.tr.LlamaConfig(**gpu.SCALES["7b"].config)
        )
    assert network.num_parameters() == 6738415616
