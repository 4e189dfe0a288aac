"""Comparisons of blocks of prompts, which blocks count, and chimeras, against slow definitions."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from neuron_atlas.detectors import average_precision, block_precision, chimeras, eligible
from neuron_atlas.detectors.blocks import Block, Layout, Unit, lay_out, right_prompts
from neuron_atlas.facts.roles import template_role
from neuron_atlas.relation_neurons import siblings

RELATIONS = tuple("abcdefgh")
N_TEMPLATES, N_FACTS = 3, 6


def index(
    relations: tuple[str, ...] = RELATIONS,
    *,
    n_templates: int = N_TEMPLATES,
    n_facts: int = N_FACTS,
) -> pd.DataFrame:
    """Return prompts of facts, all answered right; a half's facts are of that half's answers."""
    rows = [
        (f"{r}:{half}{s}", r, f"{half}{s}", half, half, t, template_role(t, n_templates + 1), True)
        for r in relations
        for half in ("identification", "held_out")
        for s in range(n_facts)
        for t in range(n_templates + 1)
    ]
    names = "fact relation subject split answer_split template template_role correct"
    return pd.DataFrame(rows, columns=names.split())


def blocks(relation: str) -> tuple[Block, ...]:
    return tuple(Block(relation, t) for t in range(N_TEMPLATES))


def relation_unit(relation: str, **more: object) -> Unit:
    own = blocks(relation)
    return Unit(relation, own, own, Block(relation, N_TEMPLATES), **more)  # type: ignore[arg-type]


def marked(layout: Layout, chosen: set[Block]) -> Tensor:
    return layout.places(b for b in layout.blocks if b in chosen)


@pytest.mark.parametrize("n_levels", [0, 4])
def test_a_chimera_is_scored_as_scikit_learn_like_code_scores_its_blocks(n_levels: int) -> None:
    """The fast path equals the slow one: a mask of positives and of ignored prompts per block."""
    rng = np.random.default_rng(0)
    for half in ("identification", "held_out"):
        layout = lay_out(index(), RELATIONS, half)
        shape = (len(layout.rows), 40)
        drawn = rng.integers(n_levels, size=shape) if n_levels else rng.normal(size=shape)
        values = torch.from_numpy(drawn).bfloat16()
        first = frozenset(b for r in RELATIONS for b in blocks(r))
        units = [
            *map(relation_unit, RELATIONS),
            relation_unit("a", ignored=("b", "c")),
            *chimeras.deal(first, first, {}, n=12, rng=rng),
        ]
        asked = [layout.compare(b, u) for u in units for b in u.blocks]
        positive = torch.stack([marked(layout, {c.positive}) for c in asked])
        ignored = torch.stack([marked(layout, set(c.ignored)) for c in asked])
        slow = average_precision.average_precision(values, positive, ignore=ignored)
        fast = block_precision.precision(values, layout, asked)
        torch.testing.assert_close(fast, slow.float(), rtol=0, atol=1e-7)


def test_a_units_own_blocks_are_never_its_negatives() -> None:
    layout = lay_out(index(), RELATIONS, "held_out")
    dealt = (Block("a", 0), Block("b", 1), Block("c", 2))
    chimera = Unit("x", dealt, dealt, Block("d", N_TEMPLATES))
    ignored = layout.compare(Block("a", 0), chimera).ignored
    assert ignored == {*blocks("a"), Block("a", 3), *dealt, Block("d", 3)} - {Block("a", 0)}
    own = layout.compare(Block("a", 0), relation_unit("a")).ignored
    assert own == {*blocks("a"), Block("a", 3)} - {Block("a", 0)}
    apart = layout.compare(Block("a", 0), relation_unit("a", ignored=("b",))).ignored
    assert apart == own | {*blocks("b"), Block("b", 3)}


def test_a_neuron_that_responds_to_all_of_a_unit_is_perfect_whatever_the_unit() -> None:
    """Why a chimera's other blocks are ignored: as negatives they would cap it near 1/3."""
    layout = lay_out(index(), RELATIONS, "identification")
    dealt = (Block("a", 0), Block("b", 1), Block("c", 2))
    for unit in (relation_unit("a"), Unit("x", dealt, dealt)):
        values = marked(layout, set(unit.blocks)).float()[:, None]
        asked = [layout.compare(b, unit) for b in unit.blocks]
        assert (block_precision.precision(values, layout, asked) == 1).all()
        capped = [c._replace(ignored=frozenset()) for c in asked]
        assert (block_precision.precision(values, layout, capped) < 0.4).all()


def test_halves_are_disjoint_in_subjects_and_answers_and_the_testing_template_selects_nothing() -> (
    None
):
    table = index()
    table.loc[table["fact"] == "a:held_out0", "answer_split"] = "identification"
    table.loc[table["fact"] == "a:identification0", "answer_split"] = "mixed"
    table.loc[table["fact"] == "b:held_out0", "correct"] = False
    first, second = (right_prompts(table, h) for h in ("identification", "held_out"))
    assert (first["split"] == "identification").all()
    assert (first["template_role"] == "select").all()
    assert second["tests"].sum() == len(RELATIONS) * N_FACTS - 2  # positive control: it tests
    gone = {"a:held_out0", "a:identification0", "b:held_out0"}
    assert gone.isdisjoint({*first["fact"], *second["fact"]})
    assert first["fact"].nunique() == len(RELATIONS) * N_FACTS - 1


def test_a_single_template_selects_and_tests() -> None:
    table = index(n_templates=0)
    assert (table["template_role"] == "both").all()
    assert len(right_prompts(table, "identification")) == len(RELATIONS) * N_FACTS
    found = eligible.find(table, min_facts=4, min_positives=3)
    assert [len(u.blocks) for u in found.relations] == [1] * len(RELATIONS)
    assert chimeras.deal(*found.blocks, found.testing, n=9, rng=np.random.default_rng(0)) == ()


def test_a_table_without_the_columns_is_split_by_subject_alone() -> None:
    table = index().drop(columns=["answer_split", "template_role"])
    assert len(right_prompts(table, "held_out")) == len(RELATIONS) * N_FACTS * (N_TEMPLATES + 1)


def wrong(table: pd.DataFrame, relation: str, template: int, half: str, *, but: int) -> None:
    """Let all but some of a block's prompts be answered wrong."""
    place = ["relation", "template", "split"]
    mine = (table[place] == [relation, template, half]).all(axis=1)
    table.loc[table.index[mine][but:], "correct"] = False


def test_a_template_with_too_few_right_prompts_is_dropped_and_that_is_reported() -> None:
    table = index()
    wrong(table, "a", 1, "identification", but=2)
    wrong(table, "b", 0, "held_out", but=2)
    wrong(table, "c", 0, "identification", but=3)  # positive control: 3 are enough
    wrong(table, "d", 0, "identification", but=1)
    wrong(table, "d", 2, "identification", but=1)
    wrong(table, "e", N_TEMPLATES, "held_out", but=0)
    found = eligible.find(table, min_facts=4, min_positives=3)
    units = {u.name: u for u in found.relations}
    assert [b.template for b in units["a"].blocks] == [0, 2]
    assert [b.template for b in units["a"].held_out] == [0, 1, 2]
    assert [b.template for b in units["b"].held_out] == [1, 2]
    assert units["c"] == relation_unit("c")
    assert [one.relation for one in found.left_out] == ["d"]
    assert "too few templates with 3 right prompts" in found.left_out[0].reason
    assert units["e"].testing is None


def test_relations_with_few_facts_or_without_company_are_left_out() -> None:
    table = index(("a", "b"))
    table.loc[(table["relation"] == "b") & ~table["subject"].str.endswith("0"), "correct"] = False
    found = eligible.find(table, min_facts=4, min_positives=1)
    assert found.relations == ()
    reasons = {one.relation: one.reason for one in found.left_out}
    assert "fewer than 4 facts answered right" in reasons["b"]
    assert reasons["a"] == eligible.ALONE


def test_no_chimera_holds_a_relation_twice_and_each_deal_uses_every_block_once() -> None:
    found = eligible.find(index(), min_facts=4, min_positives=3)
    n = len(RELATIONS)
    dealt = chimeras.deal(*found.blocks, found.testing, n=5 * n, rng=np.random.default_rng(0))
    assert len({u.blocks for u in dealt}) == len(dealt) == 5 * n
    for unit in dealt:
        assert unit.testing is not None
        names = [b.relation for b in (*unit.blocks, unit.testing)]
        assert len(set(names)) == N_TEMPLATES + 1
        assert [b.template for b in unit.blocks] == list(range(N_TEMPLATES))
    for start, stop in pairwise(range(0, 2 * n + 1, n)):
        used = [b for u in dealt[start:stop] for b in u.blocks]
        assert sorted(used) == sorted(found.blocks[0])
    again = chimeras.deal(*found.blocks, found.testing, n=5 * n, rng=np.random.default_rng(0))
    assert again == dealt


def test_few_relations_give_few_chimeras_and_too_few_none() -> None:
    rng = np.random.default_rng(0)
    three = eligible.find(index(tuple("abc")), min_facts=4, min_positives=3)
    assert len(chimeras.deal(*three.blocks, three.testing, n=50, rng=rng)) == 6  # of 3 in order
    two = eligible.find(index(tuple("ab")), min_facts=4, min_positives=3)
    assert chimeras.deal(*two.blocks, two.testing, n=50, rng=rng) == ()


def test_a_language_scores_the_shared_chimeras_whose_blocks_it_has() -> None:
    rng = np.random.default_rng(0)
    every = eligible.find(index(), min_facts=4, min_positives=3)
    shared = chimeras.deal(*every.blocks, every.testing, n=24, rng=rng)
    assert chimeras.usable(shared, every) == shared
    few = eligible.find(index(tuple("abcde")), min_facts=4, min_positives=3)
    kept = chimeras.usable(shared, few)
    wanted = [u.name for u in shared if {b.relation for b in u.blocks} <= set("abcde")]
    assert [u.name for u in kept] == wanted
    assert 0 < len(kept) < len(shared)
    assert all(u.testing is None or u.testing.relation in "abcde" for u in kept)


def test_siblings_share_candidates_over_all_languages() -> None:
    def table(**candidates: list[str]) -> pd.DataFrame:
        rows = [(f"{r}:s", r, listed) for r, listed in candidates.items()]
        return pd.DataFrame(rows, columns=["fact", "relation", "candidates"])

    countries = [f"country{i}" for i in range(40)]
    found = siblings.find(
        [
            table(neighbour=countries[:20], city=countries[16:36], capital=["x", "y"]),
            table(neighbour=countries[:20], language=["fr"], official=["fr", "de"]),
        ]
    )
    assert found == {
        "city": frozenset({"neighbour"}),
        "neighbour": frozenset({"city"}),
        "language": frozenset({"official"}),
        "official": frozenset({"language"}),
    }
