"""Sum up the run: small metrics, plots, the page and the data card."""

from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import PARAMS, load, read_yaml
from neuron_atlas.report import build, inputs
from neuron_atlas.report.settings import PageSettings

Params = PageSettings


def main(read: inputs.Folders, write: build.Outputs, /) -> None:
    """Write the folders `metrics` and `plots`, and both pages."""
    results = inputs.read_results(read, read_yaml(PARAMS))
    build.write(results, load("report", Params), write)


if __name__ == "__main__":
    run(main)
