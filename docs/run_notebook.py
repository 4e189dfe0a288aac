"""Run the notebook and write it, with what it shows, into docs/ten-minutes.md: `make notebook`."""

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pandas as pd
import ten_minutes

NOTEBOOK = Path(ten_minutes.__file__)
PAGE = NOTEBOOK.with_name("ten-minutes.md")
HEAD = """<!-- Made by `make notebook` from docs/ten_minutes.py; change that. -->
{title}

*A run of the notebook* `docs/ten_minutes.py` *on the default model, Gemma 3 270M. To go on:*
`.venv/bin/marimo edit docs/ten_minutes.py`, *with* `-- --model <folder>` *for another model.*
"""


class Cell(NamedTuple):
    """A cell: prose, or code without its `return`; and the names that it defines for others."""

    prose: str
    code: str
    names: tuple[str, ...]


def cells() -> list[Cell]:
    """Return the notebook's cells in their order."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    return [_cell(node, text) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]


def _cell(node: ast.FunctionDef, text: str) -> Cell:
    first = node.body[0]
    if isinstance(first, ast.Expr) and ast.unparse(first).startswith("mo.md("):
        (prose,) = (n.value for n in ast.walk(first) if isinstance(n, ast.Constant))
        return Cell(dedent(str(prose)).strip(), "", ())
    last = node.body[-1]
    names = ast.unparse(last).removeprefix("return").strip(" (),") if _returns(last) else ""
    kept = node.body[:-1] if _returns(last) else node.body
    lines = text.splitlines()[first.lineno - 1 : kept[-1].end_lineno]
    return Cell("", dedent("\n".join(lines)), tuple(n.strip() for n in names.split(",") if n))


def _returns(node: ast.stmt) -> bool:
    return isinstance(node, ast.Return)


def setup() -> str:
    """Return the imports, which stand before the cells."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    (block,) = (node for node in ast.parse(text).body if isinstance(node, ast.With))
    lines = text.splitlines()[block.body[0].lineno - 1 : block.end_lineno]
    return dedent("\n".join(lines))


def parts(shown: Sequence[Any]) -> Iterator[str]:
    """Yield what the page consists of: prose, code, and the table that a cell shows, if any."""
    title, _, rest = cells()[0].prose.partition("\n")
    yield HEAD.format(title=title)
    yield rest.strip()
    yield f"```python\n{setup()}\n```"
    for cell, output in zip(cells()[1:], shown[1:], strict=True):
        yield cell.prose or f"```python\n{cell.code}\n```"
        if isinstance(output, pd.DataFrame):
            yield table(output)


def table(shown: pd.DataFrame) -> str:
    """Return a table as Markdown; a bar in a cell would end it."""
    rows = [list(shown.columns), ["---"] * shown.shape[1], *shown.to_numpy().tolist()]
    lines = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def run(model: Path | None, n_facts: int) -> list[Any]:
    """Run the notebook, on its own model or another one, and return what each cell shows."""
    if model is None:
        return list(ten_minutes.app.run()[0])
    given = {"folder": str(model), "n_facts": n_facts}
    found = iter(ten_minutes.app.run(defs=given)[0])
    return [None if set(cell.names) & set(given) else next(found) for cell in cells()]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a model's folder; by default data/model")
    parser.add_argument("--facts", type=int, default=24, help="per relation, with --model")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    given = parser.parse_args()
    shown = run(given.model, given.facts)
    given.out.write_text("\n\n".join(parts(shown)) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {given.out}\n")


if __name__ == "__main__":
    main()
