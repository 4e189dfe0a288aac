"""Write an export: a folder that appears whole or not at all, and never in another's place."""

from pathlib import Path

from neuron_atlas.cards.reading import Cards
from neuron_atlas.exports.dataset_card import About, readme
from neuron_atlas.exports.tables import Format, tables_of, write
from neuron_atlas.pipeline import store


def export(cards: Cards, about: About, kind: Format, out: Path) -> dict[str, int]:
    """Write the sets and cards of a run, the verdicts, the provenance and a README.

    Args:
        cards: Of the run.
        about: Where they come from.
        kind: The format.
        out: The folder to make.

    Returns:
        The rows of each table.

    Raises:
        ValueError: `out` is there already.
    """
    tables = tables_of(cards)
    with store.whole(out) as folder:
        for _ in write(tables, kind, folder):
            pass
        (folder / "README.md").write_text(readme(about, tables, kind), encoding="utf-8")
        store.write_json(folder / "provenance.json", about.as_dict())
        if about.verdicts:
            store.write_json(folder / "verdicts.json", about.verdicts)
    return {name: len(table) for name, table in tables.items()}
