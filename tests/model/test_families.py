"""Families that another package registers are known, and a broken package is one clear error."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers as tr

import tiny
from neuron_atlas.attributions.questions import Question, points
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.trace import record_trace
from neuron_atlas.model import families, language_model
from neuron_atlas.model.families import architecture
from neuron_atlas.model.settings import ModelSource
from neuron_atlas.model.weights import fetch
from neuron_atlas.scoring.log_probability import log_probabilities
from references import plain, queries
from rounding import rounding
from saved import save

ROW = """
from neuron_atlas.model.architectures import Architecture, Windows

STARCODER = Architecture(
    body="model",
    block="model.layers.{}",
    down="mlp.c_proj",
    up="mlp.c_fc",
    ending=("model.norm",),
    windows=Windows(kinds=None),
)
TYPO = Architecture(body="model", block="model.layers.{}", down="mlp.c_prj", up="mlp.c_fc")
NO_ROW = "mlp.c_proj"
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a made-up distribution on the path, with a module of rows and its entry points."""

    def put(name: str, *entries: str) -> None:
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join([f"[{families.GROUP}]", *entries]))
        (folder / f"rows_of_{name}.py").write_text(ROW)
        monkeypatch.syspath_prepend(folder)
        families._entries.cache_clear()

    yield put
    families._entries.cache_clear()


def starcoder(**settings: object) -> tr.PreTrainedModel:
    config = tr.Starcoder2Config(**tiny.GROUPED, sliding_window=tiny.NARROW, **settings)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return tr.Starcoder2ForCausalLM(config).eval().requires_grad_(False)


def test_without_the_package_the_family_is_unknown() -> None:
    message = r"unsupported architecture 'starcoder2'; supported: .*can register under the entry"
    with pytest.raises(ValueError, match=message):
        architecture("starcoder2")


def test_a_registered_family_is_brought_in_asked_and_resumed(
    install: Install, tmp_path: Path
) -> None:
    install("made_up", "starcoder2 = rows_of_made_up:STARCODER")
    source = save(tiny.wrapped(starcoder()), tmp_path / "source")
    fetch(ModelSource("path", str(source)), tmp_path / "model", sha256=None, dtype="float32")
    lm = language_model.load(tmp_path / "model", device="cpu")
    assert lm.architecture.down == "mlp.c_proj"
    for query, found in zip(queries(lm), log_probabilities(lm, queries(lm)), strict=True):
        for answer, value in zip(query.answers, found[0], strict=True):
            expected = plain(lm, query, answer)
            assert value == pytest.approx(expected, abs=rounding(expected, tiny.DEPTH))
    batch = points(lm, Question("a b c d e f", (9, 11), query=(0, 3)))
    start = record_trace(lm, batch)
    rows = run_rows(lm, start, [start.values[:, 0, None], *[None] * (lm.n_layers - 1)])
    logits = (lm.head_input(rows) @ lm.head.weight.T)[:, 0]
    for found, point in zip(logits, batch, strict=True):
        expected = lm.network(torch.tensor([point.ids])).logits[0, point.position]
        torch.testing.assert_close(found, expected, rtol=0, atol=rounding(expected, tiny.DEPTH))


def test_it_is_named_among_the_known_ones(install: Install) -> None:
    install("made_up", "starcoder2 = rows_of_made_up:STARCODER")
    with pytest.raises(ValueError, match=r"supported: .*'roberta', 'starcoder2', 'xglm'"):
        architecture("mamba")


BROKEN = [
    (
        "llama = rows_of_made_up:STARCODER",
        "the package made_up registers the model family 'llama', which neuron_atlas has; uninst",
    ),
    (
        "starcoder2 = rows_of_made_up:GONE",
        "'starcoder2' of the package made_up, rows_of_made_up:GONE, cannot be imported: Attribute",
    ),
    (
        "starcoder2 = no_such_module:ROW",
        "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'; mend or unin",
    ),
    (
        "starcoder2 = rows_of_made_up:NO_ROW",
        "made_up:NO_ROW, must be an Architecture of neuron_atlas.model.architectures, got str",
    ),
    (
        "unheard_of = rows_of_made_up:STARCODER",
        "must be a family of transformers, or register its classes .* knows no 'unheard_of'",
    ),
]


@pytest.mark.parametrize(("entry", "message"), BROKEN)
def test_a_broken_package_is_named(install: Install, entry: str, message: str) -> None:
    install("made_up", entry)
    with pytest.raises(ValueError, match=message) as error:
        architecture(entry.split()[0])
    assert "\n" not in str(error.value)


def test_a_broken_package_does_not_stop_the_other_families(install: Install) -> None:
    install("made_up", "starcoder2 = no_such_module:ROW")
    assert architecture("llama").down == "mlp.down_proj"


def test_two_packages_with_one_family_are_both_named(install: Install) -> None:
    install("first", "starcoder2 = rows_of_first:STARCODER")
    install("second", "starcoder2 = rows_of_second:STARCODER")
    message = "the package (first|second) and the package (first|second) both register .*'starcod"
    with pytest.raises(ValueError, match=message):
        architecture("llama")


def test_a_row_that_does_not_fit_the_network_is_refused(install: Install) -> None:
    install("made_up", "starcoder2 = rows_of_made_up:TYPO")
    message = (
        r"the row of 'starcoder2' does not fit Starcoder2ForCausalLM: expected "
        r"model.layers.0.mlp.c_prj, which is not there \(3 in all\); correct"
    )
    with pytest.raises(ValueError, match=message):
        tiny.wrapped(starcoder())
