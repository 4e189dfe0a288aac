"""Write all that the report stage makes from the results: metrics, plots and the pages."""

from dataclasses import dataclass
from pathlib import Path

from neuron_atlas.pipeline import store
from neuron_atlas.report import metrics as report_metrics
from neuron_atlas.report import page, plot_data, plots
from neuron_atlas.report.inputs import Results
from neuron_atlas.report.settings import PageSettings


@dataclass(frozen=True)
class Outputs:
    """Folders that the report stage writes.

    Attributes:
        metrics: Numbers, as JSON.
        plots: The plots' data.
        page: The HTML pages.
    """

    metrics: Path
    plots: Path
    page: Path


def write(results: Results, shown: PageSettings, out: Outputs) -> None:
    """Write metrics and plot data as `<name>.json`, and the pages `index.html` and `facts.html`.

    A plot without data is written as an empty list and left out of the page.

    Args:
        results: What the earlier stages left.
        shown: What the user chose about the pages.
        out: Where the metrics, the plots' data and the pages go.
    """
    metrics = report_metrics.metrics(results)
    for name, content in metrics.items():
        store.write_json(out.metrics / f"{name}.json", content)
    data = plot_data.plot_records(results)
    for name, rows in data.items():
        plots.write(out.plots / f"{name}.json", rows)
    images = {name: plots.svg(name, rows) for name, rows in data.items() if rows}
    text = page.render(
        results, metrics["summary"], images, title=shown.title, top_neurons=shown.top_neurons
    )
    card = page.render_card(results, title=shown.title)
    for name, content_of_page in (("index.html", text), ("facts.html", card)):
        with store.atomic(out.page / name) as temporary:
            temporary.write_text(content_of_page, encoding="utf-8")
