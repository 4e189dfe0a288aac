"""Sum up the run: small metrics, plots and one self-contained HTML page."""

from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load, load_languages
from neuron_atlas.report import build, inputs
from neuron_atlas.report.settings import PageSettings

Params = PageSettings


class FactParams(Section, extra="ignore"):
    """What the report says of the `facts` section."""

    source: str


def main(read: inputs.Folders, write: build.Outputs, /) -> None:
    """Write the folders `metrics`, `plots` and `page`."""
    source = load("facts", FactParams).source
    results = inputs.read_results(read, load_languages(), fact_source=source)
    build.write(results, load("report", Params), write)


if __name__ == "__main__":
    run(main)
