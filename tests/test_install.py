"""Packages come from the same places whether uv or pip installs them."""

import sys

import pytest

import install

LISTED = """\
:env:.find-links='/wheels /more wheels'
global.cert='/etc/ca.crt'
global.constraint='/etc/constraints.txt'
global.extra-index-url='file:///a/simple https://b/simple'
global.find-links='/other'
list.format='columns'
"""


def test_uv_is_told_of_the_places_that_pip_knows() -> None:
    assert install.places(LISTED) == {
        "UV_FIND_LINKS": "/wheels,/more,wheels",  # as pip splits it
        "UV_INDEX": "file:///a/simple https://b/simple",
        "SSL_CERT_FILE": "/etc/ca.crt",
    }
    assert install.places("") == {}


def test_what_is_set_for_uv_itself_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip/simple")
    assert install.environment("uv", {})["UV_DEFAULT_INDEX"] == "https://pip/simple"
    own = {"UV_DEFAULT_INDEX": "https://uv/simple"}
    assert install.environment("uv", own)["UV_DEFAULT_INDEX"] == "https://uv/simple"
    assert install.environment(None, own) == own


def test_both_install_into_this_python() -> None:
    words = ["-c", "constraints.txt", "-e", ".[dev]"]
    with_pip, with_uv = install.command(words, None), install.command(words, "/bin/uv")
    assert with_pip[:4] == [sys.executable, "-m", "pip", "install"]
    assert with_uv[:3] == ["/bin/uv", "pip", "install"]
    assert sys.executable in with_uv
    assert with_pip[-4:] == with_uv[-4:] == words
