"""Average precision against scikit-learn, and the laws that any such score must keep."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor

from neuron_atlas.detectors import average_precision

HALF = torch.tensor([[True, True, False, False]])


def toy(
    seed: int, *, n_levels: int = 0, n_prompts: int = 60, n_neurons: int = 7
) -> tuple[Tensor, Tensor]:
    """Return normal values, or small integers with many ties, and four groups of prompts."""
    rng = np.random.default_rng(seed)
    shape = (n_prompts, n_neurons)
    values = rng.integers(n_levels, size=shape) if n_levels else rng.normal(size=shape)
    groups = np.arange(n_prompts) % 4 == np.arange(4)[:, None]
    return torch.from_numpy(values), torch.from_numpy(groups)


def by_sklearn(values: Tensor, groups: Tensor, ignore: Tensor) -> Tensor:
    wide = values.double()
    rows = [
        [average_precision_score(g[~i], column[~i]) for column in wide.T]
        for g, i in zip(groups, ignore, strict=True)
    ]
    return torch.tensor(rows, dtype=torch.float64)


@given(st.integers(0, 10_000), st.integers(1, 6), st.booleans())
@settings(max_examples=40)
def test_equals_scikit_learn_with_heavy_ties(seed: int, n_levels: int, skip: bool) -> None:
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(rng.integers(n_levels, size=(13, 4)))
    kind = rng.integers(3, size=(3, 13))  # negative, positive, ignored
    kind[:, :3] = [0, 1, 2]
    groups, ignore = torch.from_numpy(kind == 1), torch.from_numpy(kind == 2) & skip
    ours = average_precision.average_precision(values, groups, ignore=ignore)
    torch.testing.assert_close(ours, by_sklearn(values, groups, ignore), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_equals_scikit_learn_in_every_float_type(dtype: torch.dtype) -> None:
    values, groups = toy(0, n_prompts=400)
    values = values.to(dtype)
    ours = average_precision.average_precision(values, groups)
    expected = by_sklearn(values, groups, torch.zeros_like(groups))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    n_distinct = len(values[:, 0].unique())
    assert (n_distinct < 380) == (dtype == torch.bfloat16)  # positive control: bfloat16 does tie


def test_ignored_prompts_do_not_count_whatever_their_values() -> None:
    values, groups = toy(1, n_levels=5)
    ignore = groups.roll(1, dims=0)
    before = average_precision.average_precision(values, groups, ignore=ignore)
    values[ignore[0]] = 99
    after = average_precision.average_precision(values, groups, ignore=ignore)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[2], after[2])  # positive control: they count for other groups


def test_leave_one_template_out_unmasks_a_template_neuron() -> None:
    relation, template = torch.arange(40) % 4, torch.arange(40) // 4 % 2
    groups = torch.stack([(relation == 0) & (template == t) for t in (0, 1)])
    ignore = torch.stack([(relation == 0) & (template != t) for t in (0, 1)])
    values = torch.stack([relation == 0, (relation == 0) & (template == 0)], dim=1).float()
    per_template = average_precision.average_precision(values, groups, ignore=ignore)
    assert per_template[:, 0].tolist() == [1, 1]  # the relation's neuron
    assert per_template[0, 1] == 1
    robust = average_precision.template_robust(per_template, "min")
    assert robust[0] == 1
    assert robust[1] < 0.2
    assert (robust <= average_precision.template_robust(per_template, "mean")).all()


def test_a_perfect_neuron_scores_1_and_a_constant_one_its_prevalence() -> None:
    groups = torch.arange(20)[None] < 5
    perfect, constant, reverse = groups[0].double(), torch.full((20,), 3.0), -groups[0].double()
    values = torch.stack([perfect, constant.double(), reverse], dim=1)
    ap = average_precision.average_precision(values, groups)[0].tolist()
    assert ap == [1, 0.25, 0.25]


def test_average_precision_by_hand() -> None:
    values = torch.tensor([[3.0], [1.0], [2.0], [1.0]])
    ap = average_precision.average_precision(values, HALF)
    assert ap.item() == pytest.approx((1 / 1 + 2 / 4) / 2)  # ranks: hit, miss, {hit, miss}


@given(st.integers(0, 10_000), st.integers(1, 9))
@settings(max_examples=20)
def test_order_and_chunks_do_not_matter(seed: int, chunk: int) -> None:
    values, groups = toy(seed, n_levels=8)
    ap = average_precision.average_precision(values, groups)
    neuron, prompt, group = (
        torch.from_numpy(np.random.default_rng(seed).permutation(n)) for n in (7, 60, 4)
    )
    assert torch.equal(average_precision.average_precision(values, groups, chunk=chunk), ap)
    assert torch.equal(
        average_precision.average_precision(values[:, neuron], groups), ap[:, neuron]
    )
    assert torch.equal(average_precision.average_precision(values[prompt], groups[:, prompt]), ap)
    assert torch.equal(average_precision.average_precision(values, groups[group]), ap[group])


def test_average_precision_sees_only_the_order_of_values() -> None:
    values, groups = toy(2)
    ap = average_precision.average_precision(values, groups)
    assert torch.equal(average_precision.average_precision(values.exp(), groups), ap)
    assert not torch.equal(average_precision.average_precision(-values, groups), ap)
    coarse = values.bfloat16()  # its range is far beyond float16's
    ap = average_precision.average_precision(coarse, groups)
    assert torch.equal(average_precision.average_precision(coarse * 2.0**100, groups), ap)


def test_gap_by_hand() -> None:
    values = torch.tensor([[3.0, 5.0], [1.0, 5.0], [0.0, 5.0], [0.0, 5.0]])
    gap = average_precision.standardised_gap(values, HALF)
    assert gap[0].tolist() == [pytest.approx(2 / np.std([3, 1, 0, 0])), 0]


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_gap_equals_its_definition_and_ignores_shift_and_scale(seed: int) -> None:
    values, groups = toy(seed)
    ignore = groups.roll(1, dims=0)
    gap = average_precision.standardised_gap(values, groups, ignore=ignore)
    for g, i, row in zip(groups, ignore, gap, strict=True):
        used = values[~i]
        expected = (values[g].mean(0) - values[~g & ~i].mean(0)) / used.std(0, correction=0)
        torch.testing.assert_close(row, expected)
    moved = average_precision.standardised_gap(3 * values + 1000, groups, ignore=ignore)
    torch.testing.assert_close(moved, gap)


def test_gap_is_0_where_the_used_prompts_are_constant() -> None:
    values, groups = torch.full((60, 1), 0.1), toy(0)[1]
    ignore = torch.zeros_like(groups)
    ignore[:, 56:] = ~groups[:, 56:]
    values[56:] = torch.arange(4.0)[:, None]  # group g ignores all of these but its own
    gap = average_precision.standardised_gap(values, groups, ignore=ignore)
    assert gap[0] != 0  # positive control: prompt 56, of group 0, is 0 and the others 0.1
    ignore[0, 56], groups[0, 56] = True, False
    assert average_precision.standardised_gap(values, groups, ignore=ignore)[0] == 0


def test_rank_breaks_ties_by_gap_then_index() -> None:
    ap = torch.tensor([[0.5, 1.0, 1.0], [1.0, 0.5, 1.0]])
    gap = torch.tensor([[0.0, 1.0, 2.0], [1.0, 9.0, 1.0]])
    assert average_precision.rank(ap, gap).tolist() == [2, 1, 3, 5, 4, 0]
    assert average_precision.rank(ap).tolist() == [1, 2, 3, 5, 0, 4]


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_rank_is_a_sorted_permutation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = [torch.from_numpy(rng.integers(3, size=(3, 5))).double() for _ in range(2)]
    order = average_precision.rank(*keys).tolist()
    assert sorted(order) == list(range(15))
    rows = [(-keys[0].flatten()[i], -keys[1].flatten()[i], i) for i in order]
    assert rows == sorted(rows)


@pytest.mark.parametrize(
    ("groups", "ignore", "message"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0], "no positive"),
        ([1, 1, 1, 1], [0, 0, 0, 0], "no negative"),
        ([1, 1, 0, 0], [0, 0, 1, 1], "no negative"),
        ([1, 1, 0, 0], [0, 1, 0, 0], "both positive and ignored"),
    ],
)
def test_impossible_groups_are_refused(groups: list[int], ignore: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=rf"group 1 of 2 .*{message}"):
        average_precision.average_precision(
            torch.zeros(4, 1),
            torch.cat([HALF, torch.tensor([groups]) == 1]),
            ignore=torch.cat([HALF & False, torch.tensor([ignore]) == 1]),
        )


def test_bad_values_and_sizes_are_refused() -> None:
    values = torch.zeros(4, 3)
    values[2, 1] = torch.nan
    with pytest.raises(ValueError, match="nan at prompt 2, neuron 1"):
        average_precision.average_precision(values, HALF)
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        average_precision.average_precision(values, HALF, chunk=0)
    with pytest.raises(ValueError, match="flat index 7"):
        average_precision.rank(values)
    with pytest.raises(ValueError, match="at least one template"):
        average_precision.template_robust(values[:0], "min")
