"""Compare the engine with other tools, interleaved in one run and with parity.

Usage: python benchmarks/bench.py data/model [--quick] [--only NAME]

A row holds medians of runs that alternate, their ratio, and the largest difference of the results.
Times depend on the machine and what else it does; ratios much less so. A whole run writes
results.json and growth.json here and the tables of docs/performance.md; one with an option prints.
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
from timing import Work, interleave, make_room, once, row

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/performance.md"
PEERS = "captum knowledge-neurons nnsight scikit-learn transformer-lens transformers".split()
GROWTH = "growth"


def works(folder: Path) -> dict[str, Callable[[], Work]]:
    """Return what is compared, by the name that begins its rows' names."""
    return {
        "attribution-decoder": attributing.decoder,
        "attribution-encoder": attributing.encoder,
        "extraction": functools.partial(extracting.float32, folder),
        "extraction-bf16": functools.partial(extracting.bfloat16, folder),
        "average-precision": ranking.work,
        "pair-ablation": functools.partial(pairing.work, folder),
    }


def require_peers() -> None:
    """Check that every peer is installed.

    Raises:
        ValueError: one is not.
    """
    for name in PEERS:
        try:
            version(name)
        except PackageNotFoundError as error:
            raise ValueError(f"{name} is not installed; run `make bench`") from error


def peaks(folder: Path, name: str, work: Work) -> dict[str, int]:
    """Measure the peak memory of the work's contenders, each in a process of its own, MB."""
    command = [sys.executable, __file__, str(folder), "--only", name, "--contender"]
    return {one: memory.peak_mb([*command, one]) for one in work.memory}


def compare(name: str, work: Work, held: dict[str, int]) -> list[dict[str, Any]]:
    """Run the contenders of one work against each other and return its rows."""
    sys.stdout.write(f"{name}: {', '.join(work.contenders)}\n")
    timed = interleave(work.contenders, rounds=work.rounds)
    return [row(pair, timed, what=work.what, memory=held) for pair in work.rows]


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of Gemma 3 270M, left by `dvc repro`")
    parser.add_argument("--quick", action="store_true", help="one round, without a warm-up")
    names = [*works(Path()), GROWTH]
    parser.add_argument("--only", choices=names, help="run this work alone")
    parser.add_argument("--contender", help="run one of --only's contenders once, for its memory")
    words = parser.parse_args()
    if words.contender and not words.only:
        parser.error("--contender needs --only")
    if not (words.model / "config.json").exists():
        parser.error(f"{words.model} holds no model; run `dvc repro model` first")
    return words


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON, their keys in the order in which they stand."""
    with store.atomic(path) as temporary:
        temporary.write_text(json.dumps(rows, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def measured(
    chosen: dict[str, Callable[[], Work]], words: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the rows of the chosen works; a quick run does not measure memory."""
    rows: list[dict[str, Any]] = []
    for name, make in chosen.items():
        work = replace(make(), rounds=1) if words.quick else make()
        held = {} if words.quick else peaks(words.model, name, work)
        rows += compare(name, work, held)
    return rows


def main() -> None:
    """Run what is asked for."""
    words = parsed()
    require_peers()
    chosen = {k: v for k, v in works(words.model).items() if words.only in (None, k)}
    if words.contender:
        once(chosen[words.only]().contenders[words.contender])
        sys.stdout.write(f"{memory.own_peak_mb()}\n")
        return
    make_room()
    rows = measured(chosen, words)
    axes = growth.AXES if words.only in (None, GROWTH) else ()
    grown = [growth.measure(axis, rounds=1 if words.quick else 4) for axis in axes]
    found = "\n".join([tables.comparison(rows)] * bool(rows) + [tables.growth(grown)] * bool(grown))
    sys.stdout.write(f"\n{found}")
    if not words.quick and words.only is None:
        written(HERE / "results.json", rows)
        written(HERE / "growth.json", grown)
        tables.write(PAGE, found)


if __name__ == "__main__":
    main()
