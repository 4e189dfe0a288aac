"""Facts about eight countries in English and in nine languages of other scripts."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

RELATIONS = ("capital", "city")
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
TOGETHER = {"th", "ja", "zh"}  # written without blanks between words
WORDINGS = ("{}", "1. {}", "A) {}")  # of each template, where a test needs several


def write(facts: Path, texts: Path, *, wordings: Sequence[str] = WORDINGS[:1]) -> None:
    """Write the facts as one file of records, and the templates as one file per language.

    Some answers hold marks that nobody sees, as they come with texts that are copied.
    """
    texts.mkdir()
    rows: list[dict[str, Any]] = []
    for code, own in TEXTS.items():
        worded = {name: _worded(text, wordings) for name, text in zip(RELATIONS, own, strict=True)}
        content = {"name": code, "separator": " ", "templates": worded}
        YAML().dump(content, texts / f"{code}.yaml")
        for n, (country, city) in enumerate(zip(COUNTRIES[code], CAPITALS[code], strict=True)):
            dressed = {"ar": f"\u200f{city}", "he": f"\u2067{city}\u2069", "th": f"\u200b{city}"}
            for relation in RELATIONS:
                rows.append(
                    {"relation": relation, "language": code, "subject": f"s{n}", "object": f"o{n}"}
                    | {"subject_label": country, "object_label": dressed.get(code, city)}
                )
    facts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def asked(codes: Iterable[str]) -> pd.DataFrame:
    """Return all prompts of some languages in all `WORDINGS`, with separator and answer."""
    rows = []
    for code in codes:
        joined = code in TOGETHER
        for text in (one for own in TEXTS[code] for one in _worded(own, WORDINGS)):
            for country, city in zip(COUNTRIES[code], CAPITALS[code], strict=True):
                prompt = _without_gaps(text, country) if joined else text.format(subject=country)
                rows.append((prompt, "" if joined else " ", city))
    return pd.DataFrame(rows, columns=["prompt", "separator", "answer"])


def _worded(text: str, wordings: Sequence[str]) -> list[str]:
    return [one.format(text) for one in wordings]


def _without_gaps(text: str, country: str) -> str:
    """Leave out the blanks beside the subject, and at the end."""
    before, after = text.split("{subject}")
    return (before.rstrip() + country + after.lstrip()).rstrip()
