"""Sum up the run: small metrics, plots and one self-contained HTML page."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages
from neuron_atlas.report import build, inputs


class Params(Section):
    """`report` section of params.yaml."""

    title: Annotated[str, Field(min_length=1)]  # heading of the page
    top_neurons: Annotated[int, Field(ge=1)]  # neurons listed a relation, best first


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
        model, facts_report, recall, consistency, relation_neurons, effects, knowledge
    )
    source = load("facts", FactParams).source
    build.write(
        inputs.read_results(folders, load_languages(), fact_source=source),
        metrics_folder=metrics,
        plots_folder=plots,
        page_folder=page,
        **load("report", Params).model_dump(),
    )


if __name__ == "__main__":
    run(main)
