"""Between a prompt and its answer stands what a writer of the language would put there."""

import pytest

from neuron_atlas.facts import fact_table, spacing
from neuron_atlas.facts.fact_table import Fact
from neuron_atlas.facts.unspaced import is_unspaced

LATIN, CJK = ("Paris", "Rome"), ("巴黎", "罗马")

UNSPACED = [
    ("{subject} 的首都是 {object}", "法国", ("巴黎", "罗马"), "法国的首都是"),
    ("{subject} 的首都是{object}", "法国", ("巴黎", "罗马"), "法国的首都是"),
    ("{subject} の首都は {object}", "フランス", ("パリ", "ローマ"), "フランスの首都は"),
    ("เมืองหลวงของ {subject} คือ {object}", "ไทย", ("กรุงเทพ", "ปารีส"), "เมืองหลวงของไทยคือ"),
    ("រាជធានីនៃ {subject} គឺ {object}", "កម្ពុជា", ("ភ្នំពេញ", "ប៉ារីស"), "រាជធានីនៃកម្ពុជាគឺ"),
    ("ນະຄອນຫຼວງຂອງ {subject} ແມ່ນ {object}", "ລາວ", ("ວຽງຈັນ", "ປາຣີ"), "ນະຄອນຫຼວງຂອງລາວແມ່ນ"),
    ("{subject} ၏မြို့တော်မှာ {object}", "မြန်မာ", ("နေပြည်တော်", "ပဲရစ်"), "မြန်မာ၏မြို့တော်မှာ"),
    ("{subject}的首都： {object}", "法国", ("巴黎", "罗马"), "法国的首都："),
    ("{subject} 的首都是 {object}", "法国", ("巴黎", "Rome", "罗马"), "法国的首都是"),
    ("首都： {subject} {object}", "法国", ("巴黎", "罗马"), "首都：法国"),
]


@pytest.mark.parametrize(("template", "subject", "labels", "prompt"), UNSPACED)
def test_scripts_without_spaces_are_written_together(
    template: str, subject: str, labels: tuple[str, ...], prompt: str
) -> None:
    for separator in ("", " "):
        found = spacing.ask(template, subject, labels, separator)
        assert (found.prompt, found.gap) == (prompt, "")
        assert found.prompt[found.start :].startswith(subject)


SPACED = [
    ("{subject} 的代码是 {object}", "法国", ("FRA", "ITA"), "法国的代码是", " "),
    ("{subject} 的首都是 {object}", "France", ("巴黎", "罗马"), "France 的首都是", ""),
    ("{subject}의 수도는 {object}", "프랑스", ("파리", "로마"), "프랑스의 수도는", " "),
    ("The capital of {subject} is {object}", "法国", ("巴黎",), "The capital of 法国 is", " "),
    ("{subject} की राजधानी {object}", "भारत", ("दिल्ली",), "भारत की राजधानी", " "),
    ("Код +{object} у {subject}", "РФ", ("7",), "Код +{object} у РФ", ""),
]


@pytest.mark.parametrize(("template", "subject", "labels", "prompt", "gap"), SPACED)
def test_other_gaps_are_the_templates_own(
    template: str, subject: str, labels: tuple[str, ...], prompt: str, gap: str
) -> None:
    found = spacing.ask(template, subject, labels, "")
    assert (found.prompt, found.gap) == (prompt, gap)


def test_text_behind_the_answer_joins_it_too() -> None:
    found = spacing.ask("{subject} 的首都是 {object} 。", "法国", CJK, "")
    assert (found.prompt, found.gap) == ("法国的首都是{object}。", "")
    found = spacing.ask("{object} is where {subject} is governed .", "Italy", LATIN, " ")
    assert found.prompt == "{object} is where Italy is governed ."


OPENING = ["calling code +", "It is «", "L'auteur est l'", "nella dell’", "the domain .", "(", "（",
    'he said "', "es heißt „", "the symbol $", "Price: €", "the tag #", "he said “", "他说“",
    "sagt »", "a (“", "La moneda es ¿", "'", "C'est le fleuve d'", "首都是「"]  # fmt: skip
OTHER = ['The capital of "{subject}"', "They live near St.", "abgekürzt Antw.", "The size is 5\"",
    "Die Hauptstadt von „{subject}“", "La capitale de « {subject} »", "The Netherlands'", "C+",
    "A tag: C#", "»{subject}«", "‘{subject}’", "'{subject}'", "{subject}'", "({subject})", "is",
    "”{subject}”", "and so on...", "{subject}’s rock 'n'", "", "Prague 5+", "100$"]  # fmt: skip


@pytest.mark.parametrize("text", OPENING)
def test_an_answer_follows_an_opening_mark_at_once(text: str) -> None:
    assert spacing.join(text, " ") == ""


@pytest.mark.parametrize("text", OTHER)
def test_a_mark_that_opens_nothing_keeps_the_gap(text: str) -> None:
    assert spacing.join(text, " ") == " "


def test_the_fact_table_is_built_so() -> None:
    templates = {"capital": ('The capital of "{subject}"', "Now {subject}: «")}
    fact = Fact(
        relation="capital",
        subject="FR",
        subject_label="France",
        objects=("paris",),
        object_labels=("Paris",),
        candidates=("paris",),
        candidate_labels=("Paris",),
        split="held_out",
        answer_split="held_out",
    )
    table = fact_table.build([fact], templates, separator=" ")
    assert table["separator"].tolist() == [" ", ""]


def test_marks_digits_and_korean_are_spaced() -> None:
    assert [c for c in "中あアーกັຂကខ々" if not is_unspaced(c)] == []
    assert [c for c in "a1é한א.,। 、。" if is_unspaced(c)] == []
