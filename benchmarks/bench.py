"""Compare the engine's speed with other tools, interleaved in one run, and check parity.

Usage: python benchmarks/bench.py data/model [--quick] [--only NAME]

A row holds medians of alternating runs, their ratio, and the largest difference of the results.
Times depend on the machine and its load, ratios much less so. A run without options writes
results.json and growth.json here and the tables of docs/performance.md; a run with one only prints.
"""

import argparse
import functools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attributing
import extracting
import growth
import memory
import pairing
import ranking
import tables
from neuron_atlas.pipeline import store
from timing import Benchmark, enlarge_product_cache, interleave, row, run_once

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/performance.md"
PEERS = "captum knowledge-neurons nnsight scikit-learn transformer-lens transformers".split()
GROWTH = "growth"


def benchmarks(folder: Path) -> dict[str, Callable[[], Benchmark]]:
    """Return the benchmarks by name; the names of their rows begin with it."""
    return {
        "attribution-decoder": attributing.decoder,
        "attribution-encoder": attributing.encoder,
        "extraction": functools.partial(extracting.float32, folder),
        "extraction-bf16": functools.partial(extracting.bfloat16, folder),
        "average-precision": ranking.benchmark,
        "pair-ablation": functools.partial(pairing.benchmark, folder),
    }


def require_peers() -> None:
    """Require every peer to be installed.

    Raises:
        ValueError: one is not.
    """
    for name in PEERS:
        try:
            version(name)
        except PackageNotFoundError as error:
            raise ValueError(f"{name} is not installed; run `make bench`") from error


def peaks(folder: Path, name: str, benchmark: Benchmark) -> dict[str, int]:
    """Measure the peak memory of a benchmark's contenders, each in its own process, MB."""
    command = [sys.executable, __file__, str(folder), "--only", name, "--contender"]
    return {one: memory.peak_mb([*command, one]) for one in benchmark.memory}


def compare(name: str, benchmark: Benchmark, held: dict[str, int]) -> list[dict[str, Any]]:
    """Run a benchmark's contenders against each other and return its rows."""
    sys.stdout.write(f"{name}: {', '.join(benchmark.contenders)}\n")
    timed = interleave(benchmark.contenders, rounds=benchmark.rounds)
    return [row(pair, timed, what=benchmark.what, memory=held) for pair in benchmark.rows]


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of Gemma 3 270M, left by `dvc repro`")
    parser.add_argument("--quick", action="store_true", help="one round, without a warm-up")
    names = [*benchmarks(Path()), GROWTH]
    parser.add_argument("--only", choices=names, help="run this benchmark alone")
    parser.add_argument("--contender", help="run one of --only's contenders once, for its memory")
    words = parser.parse_args()
    if words.contender and not words.only:
        parser.error("--contender needs --only")
    if not (words.model / "config.json").exists():
        parser.error(f"{words.model} holds no model; run `dvc repro model` first")
    return words


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON, with their keys in the given order."""
    with store.atomic(path) as temporary:
        temporary.write_text(json.dumps(rows, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def measured(
    chosen: dict[str, Callable[[], Benchmark]], words: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the rows of the chosen benchmarks; a quick run does not measure memory."""
    rows: list[dict[str, Any]] = []
    for name, make in chosen.items():
        benchmark = replace(make(), rounds=1) if words.quick else make()
        held = {} if words.quick else peaks(words.model, name, benchmark)
        rows += compare(name, benchmark, held)
    return rows


def main() -> None:
    """Run what the command line asks for."""
    words = parsed()
    require_peers()
    chosen = {k: v for k, v in benchmarks(words.model).items() if words.only in (None, k)}
    if words.contender:
        run_once(chosen[words.only]().contenders[words.contender])
        sys.stdout.write(f"{memory.own_peak_mb()}\n")
        return
    enlarge_product_cache()
    rows = measured(chosen, words)
    axes = growth.AXES if words.only in (None, GROWTH) else ()
    grown = [growth.time_axis(axis, rounds=1 if words.quick else 4) for axis in axes]
    found = "\n".join([tables.comparison(rows)] * bool(rows) + [tables.growth(grown)] * bool(grown))
    sys.stdout.write(f"\n{found}")
    if not words.quick and words.only is None:
        written(HERE / "results.json", rows)
        written(HERE / "growth.json", grown)
        tables.write(PAGE, found)


if __name__ == "__main__":
    main()
