"""Join the languages' interventions: effects with intervals, corrected p-values, verdicts."""

from pathlib import Path

from neuron_atlas.arms.settings import Interference
from neuron_atlas.findings import interference as findings
from neuron_atlas.findings.settings import Effects
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import load, load_languages

Params = Effects


def main(
    interference: Path,
    transfers: Path,
    sufficiency: Path,
    selectors: Path,
    selector_sets: Path,
    out: Path,
    /,
) -> None:
    """Write the tables of effects and `summary.json`."""
    measured = findings.Measured(
        interference=store.by_language(interference, load_languages(), suffix=".parquet"),
        transfer=transfers,
        sufficiency=store.by_language(sufficiency, load_languages(), suffix=".parquet"),
        selectors=store.by_language(selectors, load_languages(), suffix=".parquet"),
        selector_sets=store.by_language(selector_sets, load_languages(), suffix=".parquet"),
    )
    how = load("interference", Interference)
    findings.write_summary(measured, out, load("effects", Params), applied=how)


if __name__ == "__main__":
    run(main)
