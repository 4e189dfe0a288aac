"""Everything the report stage writes: metrics, plots and the page, from one set of results."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.params import Count, Section
from neuron_atlas.report import metrics as report_metrics
from neuron_atlas.report import page, plot_data, plots
from neuron_atlas.report.inputs import Results


class PageSettings(Section):
    """What the page shows."""

    title: Annotated[str, Field(min_length=1)]
    """Heading of the page."""
    top_neurons: Count
    """Neurons listed for each relation, best first."""


def write(
    results: Results,
    shown: PageSettings,
    *,
    metrics_folder: Path,
    plots_folder: Path,
    page_folder: Path,
) -> None:
    """Write `<name>.json` metrics, `<name>.json` plot data, `index.html` and `facts.html`.

    A plot without data is written empty, and left out of the page.
    """
    metrics = report_metrics.metrics(results)
    for name, content in metrics.items():
        store.write_json(metrics_folder / f"{name}.json", content)
    data = plot_data.plot_records(results)
    for name, rows in data.items():
        plots.write(plots_folder / f"{name}.json", rows)
    images = {name: plots.svg(name, rows) for name, rows in data.items() if rows}
    text = page.render(
        results, metrics["summary"], images, title=shown.title, top_neurons=shown.top_neurons
    )
    card = page.render_card(results, title=shown.title)
    for name, content_of_page in (("index.html", text), ("facts.html", card)):
        with store.atomic(page_folder / name) as temporary:
            temporary.write_text(content_of_page, encoding="utf-8")
