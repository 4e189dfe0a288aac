"""Facts full of markup and scripts: both pages show them as text in a real browser."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from transformers import LlamaConfig, LlamaForCausalLM

import results
import toy
from neuron_atlas.pages import shell
from neuron_atlas.pipeline import params
from neuron_atlas.report import charts, data_card, metrics, page
from repository import copied, run
from saved import save

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

LANGUAGES = ("en", "fr")
RELATIONS = ("r1", "r2", "r3")
SUBJECTS = (
    *("Anna", "Boris", "Carla", "David", "Elena", "Fritz"),
    *("Greta", "Hugo", "Irene", "Jonas", "Karin", "Louis"),
)
OBJECTS = ("amber", "black", "coral", "denim", "ebony", "fawn")
PATIENCE = 60.0  # seconds for what must happen; a busy machine is slow
NOWHERE = "http://127.0.0.1:9/"
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img/src=x/onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "javascript:alert(1)",
    '<a/href="javascript:alert(1)">x</a>',
    f"<iframe/src={NOWHERE}></iframe>",
    f"<link/rel=stylesheet/href={NOWHERE}>",
    f"<img/src={NOWHERE}>",
    f"<base/href={NOWHERE}>",
    "<details/open/ontoggle=alert(1)>",
    "\" onmouseover='alert(1)' x=\"",
    "&lt;script&gt;",
    "{{7*7}}",
    "${7*7}{%raw%}",
)
PLAIN = tuple(p for p in PAYLOADS if not {"{", "}"} & set(p))  # fit for a template
WORDS = ("has", "owns", "keeps")
FILE = "\"><img src=x onerror=alert(1)>'{{7*7}}.jsonl"
FOLDER = "\"><b onmouseover=alert(1)>'{{7*7}}"
TITLE = f"</title>{''.join(PAYLOADS)}"
HARMFUL = """() => [...document.querySelectorAll("*")].filter(element =>
    ["IMG", "IFRAME", "LINK", "BASE", "OBJECT", "EMBED"].includes(element.tagName.toUpperCase())
    || (element.tagName === "SCRIPT" && (element.src || element.textContent === "alert(1)"))
    || [...element.attributes].some(a => /^on/i.test(a.name) || /^\\s*javascript:/i.test(a.value))
).map(element => element.outerHTML.slice(0, 80))"""
STIR = """() => document.querySelectorAll("*").forEach(element =>
    ["mouseover", "focus", "toggle", "load", "error", "click"].forEach(name =>
        element.dispatchEvent(new Event(name))))"""


def payload(relation: str, language: str, place: int) -> str:
    """Deal every payload to a relation, a language and a place there."""
    cell = RELATIONS.index(relation) * len(LANGUAGES) + LANGUAGES.index(language)
    return PAYLOADS[(cell * 2 + place) % len(PAYLOADS)]


def facts() -> list[dict[str, str]]:
    """Two subjects have the same object, in every relation another one."""
    return [
        {
            "relation": relation,
            "language": language,
            "subject": subject,
            "object": f"{relation}-{thing}",
            "subject_label": f"{payload(relation, language, 0)} {subject}",
            "object_label": f"{thing} {payload(relation, language, 1)}",
        }
        for language in LANGUAGES
        for shift, relation in enumerate(RELATIONS)
        for number, subject in enumerate(SUBJECTS)
        for thing in [OBJECTS[(number + shift) % len(OBJECTS)]]
    ]


def templates(language: str) -> dict[str, list[str]]:
    shift = LANGUAGES.index(language) * len(RELATIONS)
    return {
        relation: [f"{{subject}} {PLAIN[(shift + i) % len(PLAIN)]} {word}" for word in WORDS]
        for i, relation in enumerate(RELATIONS)
    }


def asked() -> pd.DataFrame:
    """Every fact in every paraphrase, for a model to learn."""
    return pd.DataFrame(
        {
            "prompt": text.replace("{subject}", fact["subject_label"]),
            "separator": " ",
            "answer": fact["object_label"],
        }
        for fact in facts()
        for text in templates(fact["language"])[fact["relation"]]
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which the pipeline ran on hostile facts, which the model has learnt."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "every_fact", asked)
        learnt = toy._trained(LlamaForCausalLM, LlamaConfig(**toy.SMALL), n_steps=200)
        model = save(learnt, tmp_path_factory.mktemp("model") / FOLDER)
    folder = copied(tmp_path_factory.mktemp("hostile") / "atlas", model, languages=LANGUAGES)
    raw = folder / "data" / "raw"
    (raw / FILE).write_text("".join(json.dumps(fact) + "\n" for fact in facts()), encoding="utf-8")
    (raw / FOLDER).mkdir()
    for code in LANGUAGES:
        content = {"name": TITLE, "separator": " ", "templates": templates(code)}
        YAML().dump(content, raw / FOLDER / f"{code}.yaml")
    values = params.read_yaml(folder / "params.yaml")
    values["facts"] |= {
        "source": "jsonl",
        "relations": None,
        "path": f"data/raw/{FILE}",
        "templates": f"data/raw/{FOLDER}",
    }
    values["report"]["title"] = TITLE
    YAML().dump(values, folder / "params.yaml")
    run(folder, "dvc", "repro")
    return folder / "report"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of made-up results with payloads wherever text of any origin is shown."""
    given = results.everything((*PAYLOADS[:2], "currency"))
    text = "".join(PAYLOADS)
    verdict = given.effects["verdicts"]["interference"] | {"because": text}
    source = dict.fromkeys(("name", "version", "licence"), text)
    source |= {"reference": "javascript:alert(1)", "files": {text: text}}
    given = replace(
        given,
        fact_source=text,
        provenance=given.provenance
        | {"source": text, "licence": {"name": text, "url": "javascript:alert(1)"}},
        facts={c: {**f, "source": source, "templates": text} for c, f in given.facts.items()},
        effects=given.effects | {"value": text, "verdicts": {text: verdict}},
        tables={
            **given.tables,
            "detectors": given.tables["detectors"].assign(detector=text),
            "editing": given.tables["editing"].assign(arm=text),
            "selection": given.tables["selection"].assign(method=text),
        },
    )
    folder = tmp_path_factory.mktemp("rendered")
    content = metrics.metrics(given)["summary"]
    whole = page.render(given, content, charts.page_charts(given), title=TITLE, top_neurons=3)
    (folder / "index.html").write_text(whole, encoding="utf-8")
    card = data_card.render_card(given, title=TITLE)
    (folder / "facts.html").write_text(card, encoding="utf-8")
    return folder


@dataclass
class Seen:
    """What a page did when it was opened and stirred."""

    title: str = ""
    text: str = ""
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)  # of the requests, by the policy
    complaints: list[str] = field(default_factory=list)
    harmful: list[str] = field(default_factory=list)


def look(
    browser: "playwright.Browser",
    file: Path,
    *,
    policy: bool = False,
    until: Callable[[Seen], bool] = lambda _: True,
) -> Seen:
    """Open a page, by default without its content security policy: escaping has to do alone.

    What must happen, `until` says: on a busy machine it takes longer than what must not is awaited.
    """
    seen = Seen()

    def dismiss(dialog: "playwright.Dialog") -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    def failed(request: "playwright.Request") -> None:
        if request.failure == "csp":
            seen.stopped.append(request.url)

    context = browser.new_context(bypass_csp=not policy)
    opened = context.new_page()
    opened.on("dialog", dismiss)
    opened.on("request", lambda request: seen.requests.append(request.url))
    opened.on("requestfailed", failed)
    opened.on("console", lambda message: seen.complaints.append(message.text))
    opened.on("pageerror", lambda error: seen.complaints.append(str(error)))
    opened.goto(file.as_uri(), wait_until="load")
    opened.evaluate(STIR)
    end = time.monotonic() + PATIENCE
    opened.wait_for_timeout(300)
    while not until(seen) and time.monotonic() < end:
        opened.wait_for_timeout(100)
    seen.title, seen.text = opened.title(), opened.inner_text("body")
    seen.harmful = opened.evaluate(HARMFUL)
    context.close()
    seen.requests = [address for address in seen.requests if address != file.as_uri()]
    return seen


def harmless(seen: Seen) -> bool:
    return not (seen.dialogs or seen.requests or seen.complaints or seen.harmful)


@pytest.mark.parametrize("policy", [True, False])
@pytest.mark.parametrize("name", ["index.html", "facts.html"])
@pytest.mark.parametrize("made", ["hostile", "rendered"])
def test_nothing_runs_nothing_is_fetched_and_text_is_text(
    request: pytest.FixtureRequest,
    browser: "playwright.Browser",
    made: str,
    name: str,
    policy: bool,
) -> None:
    seen = look(browser, request.getfixturevalue(made) / name, policy=policy)
    assert harmless(seen), seen
    assert TITLE in seen.text
    assert seen.title.startswith(TITLE)


def test_the_data_card_shows_every_payload_as_it_is(
    hostile: Path, browser: "playwright.Browser"
) -> None:
    seen = look(browser, hostile / "facts.html")
    shown = []
    for code in LANGUAGES:
        report = json.loads((hostile.parent / f"data/facts_report/{code}.json").read_text())
        shown += [row["example"] for row in report["relations"].values()]
    assert len(shown) == len(LANGUAGES) * len(RELATIONS)
    assert all(example in seen.text for example in shown)
    assert sum(any(text in example for example in shown) for text in PAYLOADS) >= 12
    assert FILE in seen.text
    assert f"data/raw/{FOLDER}" in seen.text
    index = look(browser, hostile / "index.html")
    assert FOLDER in index.text


def control(folder: Path, policy: str = "") -> Path:
    """A page that shows the payloads as they are, unescaped."""
    file = folder / "raw.html"
    file.write_text(f"<!DOCTYPE html>{policy}<title>x</title>{''.join(PAYLOADS)}")
    return file


def test_the_same_text_unescaped_is_seen_to_do_harm(
    tmp_path: Path, browser: "playwright.Browser"
) -> None:
    """Positive control: the browser runs the payloads, and the test sees it."""
    seen = look(
        browser,
        control(tmp_path),
        until=lambda seen: len(seen.dialogs) >= 5 and NOWHERE in seen.requests,
    )
    assert len(seen.dialogs) >= 5
    assert NOWHERE in seen.requests
    assert not seen.stopped
    assert len(seen.harmful) >= 8


def test_the_policy_of_the_pages_stops_what_were_not_escaped(
    tmp_path: Path, browser: "playwright.Browser"
) -> None:
    policy = f'<meta http-equiv="Content-Security-Policy" content="{shell.policy([])}">'
    seen = look(
        browser,
        control(tmp_path, policy),
        policy=True,
        until=lambda seen: NOWHERE in seen.stopped and len(seen.stopped) == len(seen.requests),
    )
    assert not seen.dialogs
    assert NOWHERE in seen.stopped
    assert sorted(seen.stopped) == sorted(seen.requests)
    assert any("Content Security Policy" in text for text in seen.complaints)
