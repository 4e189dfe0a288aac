"""The explorer's script and templates; a package that changed is refused in plain words."""

import re
from pathlib import Path

import pytest

import explorer_page
import made_cards
from neuron_atlas.explorer import assets
from neuron_atlas.pages.shell import FOLDER

BUNDLE = (
    'var a=1,b={"x":2};console.log("export {");export{a as first,b as default};\n/* licence */\n'
)


def test_a_module_becomes_a_function_that_returns_its_default_export() -> None:
    found = assets.as_function("open", BUNDLE)
    assert found.startswith("function open() {\nvar a=1,")
    assert found.endswith("/* licence */\n\nreturn b;\n}\n")
    assert "export{" not in found


@pytest.mark.parametrize(
    ("module", "got"),
    [
        ("var a = 1;", "no exports"),
        ("var a = 1; export{a as first};", "exports 'a as first'"),
        ('import x from "y";\nvar a = 1; export{a as default};', "exports 'a as default'"),
    ],
)
def test_another_form_of_module_is_refused(module: str, got: str) -> None:
    with pytest.raises(ValueError, match=rf"expected a module .*, got {re.escape(got)} in itables"):
        assets.as_function("open", module)


def test_a_package_without_the_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "BUNDLE", "itables/html/elsewhere.js")
    with pytest.raises(ValueError, match=r"expected itables/html/elsewhere\.js in itables .*pip"):
        assets._bundle()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "PACKAGE", "itables-of-nobody")
    with pytest.raises(ValueError, match="the package itables-of-nobody is not installed"):
        assets._bundle()


def test_what_would_end_a_script_is_written_otherwise() -> None:
    given = 'a("<script>"); b(/<!--.*-->/); c("</SCRIPT>"); d(1 < 2)'
    found = r'a("\x3cscript>"); b(/\x3c!--.*-->/); c("\x3c/SCRIPT>"); d(1 < 2)'
    assert assets.in_html(given) == found


def test_our_own_scripts_evaluate_no_text_and_set_no_html() -> None:
    for name in assets.OURS:
        code = (FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|Function\(", code)
        assert len(code.splitlines()) <= 300


def test_what_can_be_filtered_by_is_what_the_sets_have() -> None:
    found = assets.view(made_cards.planted(made_cards.made(200)))
    assert [value for value, _ in found.relations] == sorted(made_cards.RELATIONS)
    assert [value for value, _ in found.languages] == sorted(made_cards.LANGUAGES)
    assert ("11", "11") in found.layers
    assert found.n == 201


def test_the_page_needs_no_neuron(tmp_path: Path) -> None:
    page = explorer_page.write(tmp_path / "page.html", made_cards.made(0))
    assert "neuron-atlas neuron 3:141" in page.read_text(encoding="utf-8")


def test_the_same_cards_give_the_same_page(tmp_path: Path) -> None:
    one, two = (
        explorer_page.write(tmp_path / name, made_cards.made(40)).read_bytes() for name in "ab"
    )
    assert one == two
