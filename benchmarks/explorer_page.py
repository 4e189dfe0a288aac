"""A page with nothing but the explorer, of made-up cards."""

from pathlib import Path

from neuron_atlas.cards.reading import Cards
from neuron_atlas.explorer import assets
from neuron_atlas.pages import shell

ABOVE = f"<header><h1>Neurons</h1></header><main><p>{'What stands above. ' * 300}</p>"


def write(path: Path, cards: Cards, *, title: str = "Neuron Atlas") -> Path:
    """Write the page of these cards, under the policy that all pages have."""
    view = assets.view(cards)
    found = shell.environment()
    section, data = (
        found.get_template(f"{name}.html.j2").render(explorer=view)
        for name in ("explorer", "explorer_data")
    )
    style = (shell.FOLDER / "explorer.css").read_text(encoding="utf-8")
    text = shell.filled("shell.html.j2", scripts=assets.scripts(), title=title)
    text = text.replace("</style>", f"{style}</style>", 1)
    text = text.replace("<body>", f"<body>{ABOVE}{section}</main>{data}", 1)
    path.write_text(text, encoding="utf-8")
    return path
