"""Whose numbers they are, by what stages recorded: known answers and laws."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.comparison.ownership import Ownership, folder_hash, judged
from neuron_atlas.comparison.recorded import Content, StageRecord, overlap

EN, FR = Content("e1", 10), Content("f1", 20)
BOTH = {"en.parquet": "e1", "fr.parquet": "f1"}
FOLDER = Content(folder_hash(BOTH), 30, 2, BOTH)
CHAIN = (
    StageRecord("facts", written={"data/facts": Content("a1")}),
    StageRecord(
        "recall@en",
        ("facts",),
        read={"data/facts": Content("a1")},
        written={"data/recall/en.parquet": EN},
    ),
    StageRecord(
        "recall@fr",
        ("facts",),
        read={"data/facts": Content("a1")},
        written={"data/recall/fr.parquet": FR},
    ),
    StageRecord(
        "report",
        ("recall@en", "recall@fr"),
        read={"data/recall": Content(FOLDER.md5, 30, 2)},
        written={"metrics": Content("m1")},
    ),
)


def changed(number: int, **values: object) -> list[StageRecord]:
    """Return the chain with one stage's record changed."""
    records = list(CHAIN)
    records[number] = replace(records[number], **values)  # type: ignore[arg-type]
    return records


def test_a_pipeline_in_which_each_read_what_others_wrote_has_numbers_of_its_own() -> None:
    found = judged(CHAIN)
    assert found == Ownership()
    assert (found.own, found.told(), found.stopped_before) == (True, "its own", None)


def test_a_stage_that_ran_again_leaves_those_after_it_behind() -> None:
    """What `dvc exp run facts` leaves: the first of the stages that are behind is named."""
    found = judged(changed(0, written={"data/facts": Content("a2")}))
    assert list(found.behind) == ["recall@en", "recall@fr"]
    assert found.waiting == {"report"}
    assert found.told() == (
        "from another run: stopped before recall@en (it read another data/facts)"
    )
    assert [found.current(r.name) for r in CHAIN] == [True, False, False, False]


def test_one_language_that_ran_again_leaves_what_joins_them_behind() -> None:
    found = judged(changed(2, written={"data/recall/fr.parquet": Content("f2", 20)}))
    assert list(found.behind) == ["report"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"ran": False}, "it has not run"),
        ({"same_command": False}, "its command has changed"),
        ({"changed_parameters": ("recall.shots", "seed")}, "it ran with another recall.shots"),
        ({"read": {"data/facts": None}}, "it read another data/facts"),
        ({"changed_outputs": ("metrics/a",)}, "metrics/a is not what it wrote"),
    ],
)
def test_why_a_stage_is_behind(values: dict[str, object], why: str) -> None:
    found = judged(changed(1, **values))
    assert found.behind["recall@en"] == why
    assert found.stopped_before == "recall@en"
    assert "report" in found.waiting


def test_changed_code_is_told_and_the_numbers_stay_its_own() -> None:
    found = judged(changed(1, changed_inputs=("src/recall", "src/model")))
    assert found.own
    assert found.changed_inputs == ("src/recall", "src/model")


def test_a_folder_of_folders_is_compared_by_listings_else_by_size() -> None:
    """Positive control: with the listings, a change that keeps the size is seen."""
    parts = {"data/v/en": {"0": "x"}, "data/v/fr": {"0": "y"}}
    joined = Content(folder_hash({"en/0": "x", "fr/0": "y"}), 30, 2)

    def found(with_listings: bool, listing: dict[str, str], size: int = 20) -> Ownership:
        written = {"data/v/en": Content("e.dir", 10, 1, parts["data/v/en"])}
        written["data/v/fr"] = Content(f"{listing}.dir", size, 1, listing)
        if not with_listings:
            written = {path: replace(one, listing=None) for path, one in written.items()}
        return judged(
            [
                StageRecord("values", written=written),
                StageRecord("join", ("values",), read={"data/v": joined}),
            ]
        )

    assert found(True, {"0": "y"}) == Ownership()
    assert not found(True, {"0": "z"}).own
    blind = found(False, {"0": "z"})
    assert (blind.own, blind.by_size, blind.unchecked) == (True, ("data/v",), ())
    assert not found(False, {"0": "z"}, size=21).own


def test_a_part_of_a_folder_is_compared_by_its_listing_else_not_at_all() -> None:
    listing = {"en/sets": "s1", "en/size": "s2", "fr/sets": "s3", "summary": "s4"}
    whole = Content(folder_hash(listing), 40, 4, listing)

    def found(path: str, md5: str, written: Content = whole) -> Ownership:
        return judged(
            [
                StageRecord("sets", written={"data/sets": written}),
                StageRecord("cells", ("sets",), read={path: Content(md5)}),
            ]
        )

    part = folder_hash({"sets": "s1", "size": "s2"})
    assert found("data/sets/en", part) == Ownership()
    assert found("data/sets/summary", "s4") == Ownership()
    assert not found("data/sets/en", folder_hash({"sets": "s1", "size": "s9"})).own
    assert not found("data/sets/summary", "s9").own
    assert not found("data/sets/de", part).own
    assert found("data/sets/en", "any", replace(whole, listing=None)).unchecked == ("data/sets/en",)


def test_names_that_begin_alike_are_no_parts_of_each_other() -> None:
    assert overlap("data/recall", "data/recall/en")
    assert overlap("data/recall/en", "data/recall")
    assert not overlap("data/recall", "data/recall_more")


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.data())
def test_in_any_chain_the_stage_after_the_change_is_the_first_behind(
    widths: list[int], data: st.DataObject
) -> None:
    records = [
        StageRecord(
            str(n),
            (str(n - 1),) if n else (),
            read={f"d{n - 1}/{i}": Content(f"{n - 1}-{i}") for i in range(widths[n - 1] + 1)}
            if n
            else {},
            written={f"d{n}/{i}": Content(f"{n}-{i}") for i in range(width + 1)},
        )
        for n, width in enumerate(widths)
    ]
    assert judged(records).own
    n = data.draw(st.integers(0, len(records) - 1))
    i = data.draw(st.integers(0, widths[n]))
    written = {**records[n].written, f"d{n}/{i}": Content("other")}
    found = judged([*records[:n], replace(records[n], written=written), *records[n + 1 :]])
    after = [record.name for record in records[n + 1 :]]
    assert list(found.behind) == after[:1]
    assert found.waiting == set(after[1:])
    assert found.own == (not after)
