"""The README of an export, which on the Hugging Face hub is the data set's card."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import DatasetCardData

from neuron_atlas.exports.tables import ROWS, Format, Tables

GEMMA = (
    "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "https://ai.google.dev/gemma/terms; they and the Prohibited Use Policy they name also bind who "
    "uses or shares what is derived from the model."
)
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#|~$"})
READ = {
    "csv": 'pd.read_csv("sets.csv", keep_default_na=False, na_values=[""])',
    "json": 'pd.read_json("sets.json")',
    "hf": 'datasets.load_dataset(".", "sets")["train"]',
}


@dataclass(frozen=True)
class About:
    """What an export says of where it comes from.

    Attributes:
        model: The model's `provenance.json`.
        facts: The source of the facts: name, version, reference, licence.
        languages: Codes.
        verdicts: What the run says of each claim; may be empty.
    """

    model: Mapping[str, Any]
    facts: Mapping[str, Any]
    languages: Sequence[str]
    verdicts: Mapping[str, Mapping[str, Any]]

    @property
    def licence(self) -> Mapping[str, Any]:
        """The model's licence."""
        found: Mapping[str, Any] = self.model["licence"]
        return found

    @property
    def licences(self) -> dict[str, str]:
        """The licences' names: of the model and of the facts."""
        return {"model": str(self.licence["name"]), "facts": str(self.facts["licence"])}

    def as_dict(self) -> dict[str, Any]:
        """Return where it comes from, ready for JSON."""
        return {"model": self.model, "facts": self.facts, "languages": list(self.languages)}


def readme(about: About, tables: Tables, kind: Format) -> str:
    """Return the README; that of a data set for the hub begins with its metadata."""
    metadata = f"---\n{_metadata(about, tables).to_yaml()}\n---\n" if kind == "hf" else ""
    return metadata + "\n".join(_parts(about, tables, kind)) + "\n"


def _metadata(about: About, tables: Tables) -> DatasetCardData:
    n = len(tables["neurons"])
    return DatasetCardData(
        language=list(about.languages),
        license="other",
        license_name="model-and-facts",
        license_link=_web(about.licence.get("url")),
        pretty_name=f"Neuron Atlas of {about.model['source']}",
        size_categories=[next((name for limit, name in SIZES if n < limit), "n>1M")],
        tags=["interpretability", "neurons", "multilingual"],
        configs=[
            {"config_name": name, "data_files": f"data/{name}.parquet", "default": name == "sets"}
            for name in tables
        ],
    )


def _web(address: object) -> str | None:
    return address if isinstance(address, str) and address.startswith("https://") else None


def _parts(about: About, tables: Tables, kind: Format) -> Iterator[str]:
    yield f"# Neuron Atlas of {_text(about.model['source'])}\n"
    yield (
        "MLP neurons in which a language model may keep facts, and what is known of each. A neuron "
        "is one input of an MLP's down-projection: `layer` and `index` count from 0, `neuron` is "
        "both in one number. To be in a set does not mean that a neuron matters: the verdicts say "
        "what was tested.\n"
    )
    package = "datasets" if kind == "hf" else "pandas as pd"
    yield f"```python\nimport {package}\n\n{READ[kind]}\n```\n"
    yield from _tables(tables, kind)
    yield from _verdicts(about)
    yield from _licences(about)


def _tables(tables: Tables, kind: Format) -> Iterator[str]:
    yield "## Tables\n| table | rows | a row is of | columns |\n|---|--:|---|---|"
    for name, table in tables.items():
        columns = ", ".join(f"`{column}`" for column in table)
        yield f"| `{name}` | {len(table):,} | {ROWS[name]} | {columns} |"
    if kind == "csv":
        yield "\nA spreadsheet takes texts that begin with `=`, `+`, `-` or `@` for formulas; "
        yield "import the columns as text."
    yield ""


def _verdicts(about: About) -> Iterator[str]:
    if not about.verdicts:
        return
    yield "## Verdicts\n| claim | verdict | effect | 95 % interval |\n|---|---|--:|--:|"
    for name, one in about.verdicts.items():
        known = all(one.get(key) is not None for key in ("effect", "low", "high"))
        effect = f"{one['effect']:+.3g}" if known else ""
        interval = f"[{one['low']:+.3g}, {one['high']:+.3g}]" if known else ""
        yield f"| `{_code(name)}` | {_text(one['verdict'])} | {effect} | {interval} |"
    yield "\n`verdicts.json` has what was tested, and against what.\n"


def _licences(about: About) -> Iterator[str]:
    model, facts = about.model, about.facts
    yield "## Licences\nAs recorded in `provenance.json`:"
    yield (
        f"* the model, {_text(model['source'])}, and what is derived from its weights: "
        f"{_text(about.licence['name'])} {_text(_web(about.licence.get('url')) or '')}".rstrip()
    )
    yield (
        f"* the facts, {_text(facts['name'])} ({_text(facts['version'])}): "
        f"{_text(facts['licence'])}; {_text(facts['reference'])}"
    )
    if "gemma" in str(about.licence["name"]).lower():
        yield f"\n{GEMMA}"


def _text(value: object) -> str:
    """Return a text from data as Markdown that is no markup, on one line."""
    return " ".join(str(value).split()).translate(SPECIAL)


def _code(value: object) -> str:
    return "".join(c for c in str(value) if c.isalnum() or c in "_-.")
