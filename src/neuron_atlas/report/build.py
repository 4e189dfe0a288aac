"""Write all that the report stage makes from the results: metrics, plots and the pages."""

from dataclasses import dataclass
from pathlib import Path

from neuron_atlas.pipeline import store
from neuron_atlas.report import charts, data_card, page, plot_data, plots
from neuron_atlas.report import metrics as report_metrics
from neuron_atlas.report.inputs import Results
from neuron_atlas.report.settings import PageSettings


@dataclass(frozen=True)
class Outputs:
    """What the report stage writes: two folders and two HTML files.

    Attributes:
        metrics: Numbers, as JSON.
        plots: The plots' data.
        page: The file of the page.
        card: The file of the data card.
    """

    metrics: Path
    plots: Path
    page: Path
    card: Path


def write(results: Results, shown: PageSettings, out: Outputs) -> None:
    """Write metrics and plot data as `<name>.json`, the page and the data card.

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
    text = page.render(
        results,
        metrics["summary"],
        charts.page_charts(results),
        title=shown.title,
        top_neurons=shown.top_neurons,
    )
    card = data_card.render_card(results, title=shown.title)
    for path, content_of_page in ((out.page, text), (out.card, card)):
        with store.atomic(path) as temporary:
            temporary.write_text(content_of_page, encoding="utf-8")
