"""Fill a page's template: one closed file that runs its own scripts and nothing else.

Templates extend `shell.html.j2` in the folder `page`. Every value is escaped, and the content
security policy admits the page's own scripts by their hashes alone, so that what slipped through
could neither run nor load anything.
"""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
from markupsafe import Markup

from neuron_atlas.pages.formats import FILTERS

FOLDER = Path(__file__).parents[1] / "page"
# What would end a script early or change its text, and so its hash, when a browser reads it.
UNSAFE = re.compile(r"</script|<!--|<script|[\r\0]", re.IGNORECASE)


@dataclass(frozen=True)
class Script:
    """A script of ours, or a library's, that a page runs.

    Attributes:
        text: The code.
        kind: `classic` scripts run in order, `module` ones after them.

    Raises:
        ValueError: a browser would not run the text as it is.
    """

    text: str
    kind: Literal["module", "classic"] = "module"

    def __post_init__(self) -> None:
        if found := UNSAFE.search(self.text):
            around = self.text[max(found.start() - 30, 0) : found.end() + 30]
            raise ValueError(f"a script in a page cannot hold {found[0]!r}, as in {around!r}")

    @property
    def digest(self) -> str:
        """The text's hash as a source of the content security policy."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"sha256-{base64.b64encode(digest).decode()}"


def script(name: str, kind: Literal["module", "classic"] = "module") -> Script:
    """Return the script `name` of the folder `page`."""
    return Script((FOLDER / name).read_text(encoding="utf-8"), kind)


def filled(template: str, *, scripts: Sequence[Script] = (), **values: Any) -> str:
    """Return a page: a template of the folder `page` with its values and scripts.

    The same values always give the same text.

    Args:
        template: Name of a file that extends `shell.html.j2`.
        scripts: They stand at the end of the body, in this order.
        values: What the template names; `title`, a text, is always needed.
    """
    shown = [(one.kind, Markup(one.text)) for one in scripts]
    page = environment().get_template(template)
    return page.render(scripts=shown, policy=policy(scripts), **values)


def policy(scripts: Sequence[Script]) -> str:
    """Return the content security policy: these scripts, styles in the page, and nothing else."""
    hashes = " ".join(dict.fromkeys(f"'{one.digest}'" for one in scripts)) or "'none'"
    rules: Mapping[str, str] = {
        "default-src": "'none'",
        "script-src": hashes,
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{rule} {sources}" for rule, sources in rules.items())


def environment() -> jinja2.Environment:
    """Return the templates of the folder `page`, with the filters that all of them use."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= FILTERS
    found.globals |= {"json_block": json_block, "packed_block": packed_block}
    return found


def json_block(name: str, value: Any) -> Markup:
    """Return data for a script: a block of JSON with this id, in which nothing is markup."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return _block(name, "application/json", text)


def packed_block(name: str, content: bytes) -> Markup:
    """Return large data for a script: a block of gzip in base64, to be read when it is needed.

    Args:
        name: The block's id.
        content: Any bytes; they are compressed here.
    """
    packed = gzip.compress(content, compresslevel=9, mtime=0)
    return _block(name, "text/plain", base64.b64encode(packed).decode())


def _block(name: str, kind: str, text: str) -> Markup:
    return Markup('<script type="{}" id="{}">{}</script>').format(kind, name, Markup(text))
