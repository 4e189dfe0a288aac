"""Facts in nine scripts: each is asked as its readers write it, and counted if it cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import facts as stage
from neuron_atlas.facts import fact_table
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.params import read_yaml

ROOT = Path(__file__).parents[2]
COUNTRIES = {
    "en": ["France", "Greece", "Japan", "Egypt", "Israel", "Thailand", "India", "Turkey"],
    "ar": ["فرنسا", "اليونان", "اليابان", "مصر", "إسرائيل", "تايلاند", "الهند", "تركيا"],
    "he": ["צרפת", "יוון", "יפן", "מצרים", "ישראל", "תאילנד", "הודו", "טורקיה"],
    "th": ["ฝรั่งเศส", "กรีซ", "ญี่ปุ่น", "อียิปต์", "อิสราเอล", "ไทย", "อินเดีย", "ตุรกี"],
    "hi": ["फ़्रांस", "यूनान", "जापान", "मिस्र", "इज़राइल", "थाईलैंड", "भारत", "तुर्की"],
    "ja": ["フランス", "ギリシャ", "日本", "エジプト", "イスラエル", "タイ", "インド", "トルコ"],
    "zh": ["法国", "希腊", "日本", "埃及", "以色列", "泰国", "印度", "土耳其"],
    "ko": ["프랑스", "그리스", "일본", "이집트", "이스라엘", "태국", "인도", "튀르키예"],
    "el": ["Γαλλία", "Ελλάδα", "Ιαπωνία", "Αίγυπτος", "Ισραήλ", "Ταϊλάνδη", "Ινδία", "Τουρκία"],
    "tr": ["Fransa", "Yunanistan", "Japonya", "Mısır", "İsrail", "Tayland", "Hindistan", "Iğdır"],
}
CAPITALS = {
    "en": ["Paris", "Athens", "Tokyo", "Cairo", "Jerusalem", "Bangkok", "Delhi", "Ankara"],
    "ar": ["باريس", "أثينا", "طوكيو", "القاهرة", "القدس", "بانكوك", "دلهي", "أنقرة"],
    "he": ["פריז", "אתונה", "טוקיו", "קהיר", "ירושלים", "בנגקוק", "דלהי", "אנקרה"],
    "th": ["ปารีส", "เอเธนส์", "โตเกียว", "ไคโร", "เยรูซาเล็ม", "กรุงเทพมหานคร", "เดลี", "อังการา"],
    "hi": ["पेरिस", "एथेंस", "टोक्यो", "काहिरा", "यरूशलम", "बैंकॉक", "दिल्ली", "अंकारा"],
    "ja": ["パリ", "アテネ", "東京", "カイロ", "エルサレム", "バンコク", "デリー", "アンカラ"],
    "zh": ["巴黎", "雅典", "东京", "开罗", "耶路撒冷", "曼谷", "德里", "安卡拉"],
    "ko": ["파리", "아테네", "도쿄", "카이로", "예루살렘", "방콕", "델리", "앙카라"],
    "el": ["Παρίσι", "Αθήνα", "Τόκιο", "Κάιρο", "Ιερουσαλήμ", "Μπανγκόκ", "Δελχί", "Άγκυρα"],
    "tr": ["Paris", "Atina", "Tokyo", "Kahire", "Kudüs", "Bangkok", "Delhi", "Ankara"],
}
# As templates are often written: with a space on either side of what is put in.
TEXTS = {
    "en": ("The capital of {subject} is", "A city of {subject}:"),
    "ar": ("عاصمة {subject} هي", "مدينة في {subject}:"),
    "he": ("הבירה של {subject} היא", "עיר ב{subject}:"),
    "th": ("เมืองหลวงของ {subject} คือ", "เมืองใน {subject} ได้แก่"),
    "hi": ("{subject} की राजधानी", "{subject} का शहर:"),
    "ja": ("{subject} の首都は", "{subject} の都市："),
    "zh": ("{subject} 的首都是", "{subject} 的城市："),
    "ko": ("{subject}의 수도는", "{subject}의 도시:"),
    "el": ("Πρωτεύουσα: {subject},", "Πόλη στη χώρα {subject}:"),
    "tr": ("{subject} ülkesinin başkenti", "{subject} ülkesinde bir şehir:"),
}
TOGETHER = {"th", "ja", "zh"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scripts")
    rows: list[dict[str, Any]] = []
    (root / "texts").mkdir()
    for code, texts in TEXTS.items():
        content = {"name": code, "separator": " "}
        content |= {"templates": {"capital": [texts[0]], "city": [texts[1]]}}
        YAML().dump(content, root / "texts" / f"{code}.yaml")
        for n, (country, city) in enumerate(zip(COUNTRIES[code], CAPITALS[code], strict=True)):
            # Marks that nobody sees, as they come with texts that are copied.
            dressed = {"ar": f"\u200f{city}", "he": f"\u2067{city}\u2069", "th": f"\u200b{city}"}
            for relation in ("capital", "city"):
                rows.append(
                    {"relation": relation, "language": code, "subject": f"s{n}", "object": f"o{n}"}
                    | {"subject_label": country, "object_label": dressed.get(code, city)}
                )
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "own.jsonl").write_text(text, encoding="utf-8")
    section = read_yaml(ROOT / "params.yaml")["facts"] | {"source": "jsonl", "path": "own.jsonl"}
    section |= {"templates": "texts", "max_majority_share": 1.0, "min_per_relation": 4}
    content = {"languages": {code: {} for code in TEXTS}, "seed": 0, "facts": section}
    content |= {"recall": {"shots": 1, "demonstrations": {"shots": 1, "blocks": 1}}}
    YAML().dump(content, root / "params.yaml")
    store.write_json(root / "model/provenance.json", {"architecture": {"encoder": False}})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        stage.main(Path("model"), Path("facts"), Path("questions"), Path("report"))
    return root


@pytest.mark.parametrize("code", TEXTS)
def test_every_fact_is_asked_as_it_is_written(made: Path, code: str) -> None:
    table = fact_table.read_facts(made / "facts" / f"{code}.parquet")
    assert set(table["separator"]) == ({""} if code in TOGETHER else {" "})
    asked = table[table["relation"] == "capital"]
    pairs = dict(zip(asked["subject_label"], asked["answer"], strict=True))
    assert pairs == dict(zip(COUNTRIES[code], CAPITALS[code], strict=True))
    for row in asked.to_dict("records"):
        text = TEXTS[code][0].replace("{subject}", row["subject_label"])
        assert row["prompt"] == (text.replace(" ", "") if code in TOGETHER else text)
        span = row["prompt"][row["subject_start"] : row["subject_end"]]
        assert span == row["subject_label"]


def test_closed_gaps_are_said(made: Path) -> None:
    said = {code: store.read_json(made / "report" / f"{code}.json") for code in TEXTS}
    closed = {code for code, one in said.items() if "notices" in one}
    assert closed == TOGETHER
    assert said["zh"]["notices"] == [
        "the space before the answer is left out in 2 templates, since the language writes none "
        "there"
    ]
