"""Sum up the run: small metrics, plots and one self-contained HTML page."""

from pathlib import Path

from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages
from neuron_atlas.report import build, inputs

Params = build.PageSettings


class FactParams(Section, extra="ignore"):
    """What the report says of the `facts` section."""

    source: str


def main(
    model: Path,
    facts_report: Path,
    recall: Path,
    consistency: Path,
    relation_neurons: Path,
    effects: Path,
    knowledge: Path,
    metrics: Path,
    plots: Path,
    page: Path,
    /,
) -> None:
    """Write the folders `metrics`, `plots` and `page`."""
    folders = inputs.Folders(
        model=model,
        facts_report=facts_report,
        recall=recall,
        consistency=consistency,
        relation_neurons=relation_neurons,
        effects=effects,
        knowledge=knowledge,
    )
    source = load("facts", FactParams).source
    build.write(
        inputs.read_results(folders, load_languages(), fact_source=source),
        load("report", Params),
        metrics_folder=metrics,
        plots_folder=plots,
        page_folder=page,
    )


if __name__ == "__main__":
    run(main)
