"""Measure how the time and memory of building fact sets grow with the number of facts.

Usage: python benchmarks/facts.py benchmarks/facts.json

The stage builds a made-up mLAMA of 20 relations in six languages, as DVC runs it, in a fresh
process and without any limit on the facts. Exponents are fitted to the larger sizes, where the
start-up matters little.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
RECALL = {"shots": 0, "demonstrations": {"shots": 2, "blocks": 2}}
LANGUAGES = ("en", "fr", "de", "es", "ru", "zh")
N_RELATIONS, N_OBJECTS = 20, 32  # as many as the shipped facts.max_candidates
SIZES = (12_500, 25_000, 50_000, 100_000)  # facts in each language


def write(folder: Path, n_facts: int) -> None:
    """Write an mLAMA of `n_facts` facts in every language."""
    each = n_facts // N_RELATIONS
    for code in LANGUAGES:
        (folder / code).mkdir(parents=True)
        templates = []
        for r in range(N_RELATIONS):
            lines = [
                json.dumps(
                    {
                        "sub_uri": f"Q{i}",
                        "sub_label": f"Subject {i} of {code}",
                        "obj_uri": f"Q9{i * 7 % N_OBJECTS}",
                        "obj_label": f"Thing {i * 7 % N_OBJECTS} of {code}",
                    }
                )
                for i in range(each)
            ]
            (folder / code / f"P{r}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            text = f"[X] has relation {r} to [Y] ."
            templates.append(json.dumps({"relation": f"P{r}", "template": text}))
        (folder / code / "templates.jsonl").write_text("\n".join(templates), encoding="utf-8")


def build_and_measure(folder: Path, n_facts: int) -> dict[str, Any]:
    """Build the fact sets of one size in its own process; return its time and peak memory."""
    write(folder / "mlama", n_facts)
    _write_params(folder)
    (folder / "model").mkdir()
    (folder / "model/provenance.json").write_text('{"architecture": {"encoder": false}}')
    seconds, peak_mb = _run_stage(folder)
    tables = list((folder / "facts").iterdir())
    kept = {pq.read_metadata(path).num_rows for path in tables}
    if kept != {n_facts}:
        raise RuntimeError(f"expected {n_facts} facts in each language, got {kept}")
    size = sum(path.stat().st_size for path in tables)
    return {
        "facts": n_facts,
        "languages": len(LANGUAGES),
        "seconds": round(seconds, 2),
        "peak_mb": peak_mb,
        "parquet_mb": round(size / 2**20, 1),
    }


def _write_params(folder: Path) -> None:
    """Write a params.yaml like ours, but with the made-up source and without limits."""
    yaml = YAML(typ="safe")
    section = yaml.load(ROOT / "params.yaml")["facts"] | {
        **{
            "source": "mlama",
            "path": "mlama",
            "templates": str(ROOT / "src/neuron_atlas/templates"),
        },
        **{"max_per_relation": None, "max_majority_share": 1.0},
    }
    content = {"languages": {c: {} for c in LANGUAGES}, "seed": 0, "recall": RECALL}
    content |= {"facts": section}
    yaml.dump(content, folder / "params.yaml")


def _run_stage(folder: Path) -> tuple[float, int]:
    """Run the stage `facts` in `folder`; return its seconds and its peak memory, MB."""
    command = [sys.executable, ROOT / "stages/facts.py", "model", "facts", "questions", "report"]
    start = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f"the stage facts failed with status {status}")
    return seconds, round(usage.ru_maxrss / 1024)


def exponent(rows: list[dict[str, Any]], key: str) -> float:
    """Return b of the fit `key` = a * facts^b over the larger half of the sizes."""
    part = rows[len(rows) // 2 - 1 :]
    slope, _ = np.polyfit(np.log([r["facts"] for r in part]), np.log([r[key] for r in part]), 1)
    return round(float(slope), 2)


def main() -> None:
    """Measure every size and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    rows = []
    for n_facts in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(build_and_measure(Path(folder), n_facts))
        sys.stdout.write(f"{rows[-1]}\n")
    found = {"rows": rows, "exponent": {k: exponent(rows, k) for k in ("seconds", "peak_mb")}}
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
