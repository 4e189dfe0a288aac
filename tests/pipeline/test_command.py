"""A stage that cannot go on says so in one line; a mistake of the program shows where it is."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from neuron_atlas.pipeline import command


def ended(
    main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """Run a stage and return its exit status and what it said."""
    monkeypatch.setattr(sys, "argv", ["stage.py"])
    with pytest.raises(SystemExit) as stop:
        command.run(main)
    assert stop.value.__suppress_context__
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ValueError("k must be\n  in [1, 3]"), "error: k must be in [1, 3]\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), "the disk is full; free some"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "a"), "may not be written to"),
        (MemoryError(), "not enough memory; stop other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (RuntimeError("unable to mmap 9 bytes: Cannot allocate memory (12)"), "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    error: Exception,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def main() -> None:
        raise error

    status, said = ended(main, monkeypatch, capsys)
    assert status == 1
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    assert advice in said


def test_torch_says_what_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    status, said = ended(main, monkeypatch, capsys)
    assert (status, said.startswith("error: not enough memory")) == (1, True)


def test_safetensors_says_what_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        save_file({"a": torch.zeros(1)}, tmp_path)

    status, said = ended(main, monkeypatch, capsys)
    assert (status, said.startswith("error: ")) == (1, True)


def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise KeyboardInterrupt  # what Python makes of Ctrl-C

    status, said = ended(main, monkeypatch, capsys)
    assert status == 130
    assert said == "\ninterrupted; run the same command again to go on\n"


def test_a_mistake_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(sys, "argv", ["stage.py"])
    with pytest.raises(RuntimeError, match="shapes"):
        command.run(main)
