"""Streams of random numbers: one for each purpose, all from one seed."""

import numpy as np
import pytest

from neuron_atlas.pipeline.streams import code, stream

N = 20_000


def test_a_stream_depends_on_the_seed_and_all_its_names() -> None:
    first = stream(0, "recall", "en").random(3)
    assert (stream(0, "recall", "en").random(3) == first).all()
    others = [(1, "recall", "en"), (0, "recall", "fr"), (0, "recall"), (0, "en", "recall")]
    for seed, *names in [*others, (0, "recall", "en", 0), (0, "recallen")]:
        assert not (stream(int(seed), *names).random(3) == first).any()
    assert stream(0, "a", 1).random() != stream(0, "a", "1").random()
    assert stream(0, "a", "b").random() != stream(0, "ab").random()


@pytest.mark.parametrize("other", [(1, "stage", "en"), (0, "stage", "fr"), (0, "stage", "en", 0)])
def test_streams_are_independent(other: tuple[int, str]) -> None:
    x, y = (stream(*names).normal(size=N) for names in ((0, "stage", "en"), other))
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / N**0.5
    assert np.corrcoef(x, x + y)[0, 1] > 0.5  # positive control


def test_codes_fill_64_bits_evenly() -> None:
    codes = np.array([code(0, "stage", i) for i in range(2000)])
    assert len(set(codes.tolist())) == 2000
    assert codes.astype(np.float64).mean() / 2.0**64 == pytest.approx(0.5, abs=0.03)
    assert code(0, "stage", 0) != code(1, "stage", 0)
