"""Charts that a page draws itself: Vega-Lite, from a package, with nothing fetched."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import vl_convert

from neuron_atlas.pages.shell import FOLDER, Script, script
from neuron_atlas.pages.specs import Rows, Spec

VEGA_LITE = "6.4"  # the newest that vl-convert has; its Vega and Vega-Embed come with it
NOTICES = "vega_licences.txt"
# One name of the page's own, so that no library can meet another's.
AS_ONE_NAME = "window.atlasVega = { embed: vegaEmbed };"


@dataclass(frozen=True)
class Chart:
    """A chart, and its numbers for those who cannot see it.

    Attributes:
        drawn: Its Vega-Lite specification.
        alt: What it shows, in a sentence.
        columns: Column of `rows` to the heading of the table of numbers.
        rows: The numbers.
    """

    drawn: Spec
    alt: str
    columns: Mapping[str, str]
    rows: Rows

    @property
    def spec(self) -> Spec:
        """The specification with its description."""
        return {**self.drawn, "description": self.alt}


def scripts() -> list[Script]:
    """Return what a page with charts runs: the library, and the script that draws its figures."""
    return [vega(), script("charts.js")]


@cache
def vega() -> Script:
    """Return Vega, Vega-Lite and Vega-Embed as one script, with their licences.

    It sets `window.atlasVega.embed`, which is `vegaEmbed`. With `ast: true` it interprets
    expressions, so that no policy has to allow `eval`. The same version gives the same bytes.
    """
    code = vl_convert.javascript_bundle(AS_ONE_NAME, vl_version=VEGA_LITE)
    notices = (FOLDER / NOTICES).read_text(encoding="utf-8")
    return Script(f"/*!\n{notices}*/\n(() => {{\n{code}\n}})();\n", "classic")
