"""Killed at any moment, in any stage, the pipeline ends as if nothing had happened."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.lock import make_lock
from ruamel.yaml import YAML

import mend
from killing import (
    Clone,
    contents,
    end,
    leftovers,
    out,
    output,
    removed,
    stage,
    started,
    until,
    workspace,
)
from ledger import Ledger
from neuron_atlas.pipeline import store, work_folder
from repository import ran, run, tried

KILLS, SEED = 20, 5
MEND = ("env", "PYTHONPATH=src", "python", "tools/mend.py")
WHOLE = {"attributions": "scores.parquet", "interference": ""}  # the table of a result
VALUE = {"attributions": "score", "interference": "effect"}
POISON = 1000.0
WRITES = "Updating lock file"


def results(text: str) -> dict[str, Any]:
    """Return the stages of a `dvc.lock`, in the order in which they ran."""
    found: dict[str, Any] = YAML(typ="safe").load(text)["stages"]
    return found


def reached(folder: Path, order: list[str], aim: str) -> bool:
    """Tell whether DVC has begun with a stage, or with one that comes after it."""
    begun = [order.index(name) for name in ran(output(folder)) if name in order]
    return max(begun, default=-1) >= order.index(aim)


def killed(folder: Path, order: list[str], aim: str, *, share: float, writes: bool) -> str:
    """Kill DVC after the begin of a stage; return what had to be mended.

    Args:
        folder: The repository.
        order: All stages.
        aim: The stage.
        share: Of the longest delay, which is about as long as the stage.
        writes: Kill while DVC writes the stage's results to `dvc.lock`.
    """
    begin = time.monotonic()

    def said() -> str:
        return output(folder)

    with started(folder, "dvc", "repro") as process:
        until(process, lambda: bool(ran(said())), said)
        pace = time.monotonic() - begin  # long on a busy machine
        until(process, lambda: reached(folder, order, aim), said)
        if writes:
            until(process, lambda: WRITES in said().rpartition("Running stage")[2], said)
            time.sleep(share * pace * 0.1)
        else:
            late = time.monotonic() + share * pace * 1.5
            last = order[-1]  # after which there is nothing left to kill
            until(process, lambda: time.monotonic() > late or reached(folder, order, last), said)
        assert end(process, signal.SIGKILL) == -signal.SIGKILL
    return tried(folder, *MEND).stderr


def test_twenty_kills_change_nothing(origin: Path, clone: Clone, ledger: Ledger) -> None:
    """Every other kill comes while DVC writes `dvc.lock`, which some of them leave half written."""
    folder, expected = clone("killed", cache="empty"), (origin / "dvc.lock").read_bytes()
    (folder / "dvc.lock").unlink()
    shutil.rmtree(folder / "metrics")
    run(folder, "git", "checkout", "metrics/calibration.json")  # which no stage makes
    order = list(results(expected.decode()))
    aims = [order[i] for i in np.linspace(0, len(order) - 1, KILLS).astype(int)]
    shares = np.random.default_rng(SEED).random(KILLS).tolist()
    with ledger.attempt("kill -9 of dvc repro, at random moments of all stages", times=KILLS):
        mended = [
            killed(folder, order, aim, share=share, writes=i % 2 == 1)
            for i, (aim, share) in enumerate(zip(aims, shares, strict=True))
        ]
        run(folder, "dvc", "repro")
        assert (folder / "dvc.lock").read_bytes() == expected
        assert json.loads(run(folder, "dvc", "status", "--json")) == {}
        assert run(folder, "git", "status", "--porcelain").split() == ["??", "output.txt"]
        assert leftovers(folder) == []
    with ledger.attempt(
        "of these, dvc.lock half written, and mended", times=sum(map(bool, mended))
    ):
        assert all("half written" in line for line in mended if line)


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(".work/*/*.parquet"))


def poisoned(folder: Path, name: str) -> int:
    """Kill a stage after its first part, falsify the part, and return how many rows it has."""
    with started(folder, *stage(name, "en")) as process:
        until(process, lambda: bool(parts(folder)))
        end(process, signal.SIGKILL)
    first = parts(folder)[0]
    table = store.read_table(first)
    store.write_table(first, table.assign(**{VALUE[name]: table[VALUE[name]] + POISON}))
    return len(table)


@pytest.mark.parametrize("name", sorted(VALUE))
def test_a_killed_stage_redoes_the_part_in_flight_alone(
    origin: Path, tmp_path: Path, ledger: Ledger, name: str
) -> None:
    """What was falsified in a finished part comes back in the result: the part was not redone."""
    folder = workspace(origin, tmp_path)
    result = folder / out(name, "en")
    table = result / WHOLE[name]
    before = store.read_table(table)[VALUE[name]]
    removed(result)
    with ledger.attempt("kill -9 of a stage between two parts of its work"):
        n_rows = poisoned(folder, name)
        assert not result.exists()
        run(folder, *stage(name, "en"))
        moved = store.read_table(table)[VALUE[name]] - before
        assert int((moved > POISON / 2).sum()) == n_rows < len(before)
        assert int((moved == 0).sum()) == len(before) - n_rows
        assert leftovers(folder) == []


def test_parts_that_other_code_made_are_not_read(
    origin: Path, tmp_path: Path, ledger: Ledger
) -> None:
    folder = workspace(origin, tmp_path)
    expected = removed(folder / out("attributions", "en"))
    with ledger.attempt("kill -9 of a stage, and a change of its code"):
        poisoned(folder, "attributions")
        module = folder / "src" / "neuron_atlas" / "attributions" / "gradients.py"
        assert module.exists()
        with module.open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        run(folder, *stage("attributions", "en"))
        assert contents(folder / out("attributions", "en")) == expected
        assert leftovers(folder) == []


def test_what_transfer_measured_serves_until_an_input_changes(
    origin: Path, tmp_path: Path, ledger: Ledger
) -> None:
    """What was falsified comes back in the result; code of another kind measures everything."""
    folder = workspace(origin, tmp_path)
    read = ("model", "recall", "activations", "relation_neurons", "language_specific")
    command = (
        "env",
        "PYTHONPATH=src",
        "python",
        "stages/transfer.py",
        *(f"data/{name}" for name in (*read, "transfer.parquet")),
    )
    result = folder / "data" / "transfer.parquet"
    expected = removed(result)
    with ledger.attempt("a run after another, with what that one measured"):
        run(folder, *command)
        assert contents(result) == expected
        assert leftovers(folder) == []
        kept = sorted(folder.glob(f".work/transfer en */{work_folder.WHOLE}"))[0]
        table = store.read_table(kept)
        store.write_table(kept, table.assign(effect=table["effect"] + POISON))
        run(folder, *command)
        poison = int((store.read_table(result)["effect"] > POISON / 2).sum())
        assert poison == len(table) > 0
        with (folder / "src/neuron_atlas/scoring/trees.py").open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        run(folder, *command)
        assert contents(result) == expected


def test_a_half_written_list_of_results_is_mended(clone: Clone, ledger: Ledger) -> None:
    folder = clone("folder", cache="shared")
    file = folder / "dvc.lock"
    whole = file.read_bytes()
    stages = results(whole.decode())
    cut = whole.index(b"md5:", len(whole) // 2) + len("md")
    with ledger.attempt("dvc.lock half written"):
        file.write_bytes(whole[:cut])
        assert tried(folder, "dvc", "repro").returncode != 0  # positive control
        assert "of it are kept" in tried(folder, *MEND).stderr
        assert len(results(file.read_text(encoding="utf-8"))) > 5
        run(folder, "dvc", "repro")  # the rest comes from the run-cache
        assert file.read_bytes() == whole
    for length in np.random.default_rng(SEED).integers(0, len(whole), 20).tolist():
        file.write_bytes(whole[:length])
        mend.main(folder)
        kept = results(file.read_text(encoding="utf-8")) if file.exists() else {}
        for name, one in kept.items():
            found = one["outs"]  # DVC takes a stage for changed that lacks one
            assert one == stages[name] | {"outs": stages[name]["outs"][: len(found)]}
    conflict = whole.replace(b"  check:\n", b"<<<<<<< ours\n  check:\n")
    for text, said in (
        (whole, []),
        (conflict, ["dvc.lock is damaged; take it from git or remove it"]),
    ):
        file.write_bytes(text)
        assert mend.main(folder) == said
        assert file.read_bytes() == text


def test_a_list_of_files_in_use_that_nobody_uses_is_mended(clone: Clone, ledger: Ledger) -> None:
    """Half of it, or one whose process ended and left its number to another one, as here to us."""
    folder = clone("folder", cache="shared")
    file = folder / ".dvc" / "tmp" / "rwlock"
    owner = {"pid": os.getpid(), "cmd": "/usr/bin/dvc repro"}
    text = json.dumps({"write": {str(folder / "data" / "check.json"): owner}, "read": {}})
    repeat = ("dvc", "repro", "--force", "--single-item", "check")
    for listed in (text[:20], text):
        with ledger.attempt("DVC's list of files in use is wrong"):
            file.write_text(listed, encoding="utf-8")
            assert tried(folder, *repeat).returncode != 0  # positive control
            assert "it is removed" in tried(folder, *MEND).stderr
    run(folder, *repeat)


def test_nothing_is_mended_under_a_running_command(clone: Clone) -> None:
    folder = clone("folder", cache="empty")
    file = folder / "dvc.lock"
    file.write_bytes(file.read_bytes()[:-5])
    (folder / mend.GUARD).parent.mkdir(exist_ok=True)
    with make_lock(str(folder / mend.GUARD)):
        assert mend.main(folder) == ["a DVC command is running; nothing is mended"]
    assert len(mend.main(folder)) == 1  # positive control
