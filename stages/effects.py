"""Join the languages' interventions: effects with intervals, corrected p-values, verdicts."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from neuron_atlas.findings.interference import write_summary
from neuron_atlas.pipeline import params, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section


class Params(Section):
    """`effects` section of params.yaml."""

    negligible: Annotated[float, Field(gt=0)]  # nats; smaller effects do not matter
    n_resamples: Annotated[int, Field(ge=100)]  # of the bootstrap over facts
    seed: int


class Applied(BaseModel):
    """What the results say of how neurons were switched off, from the section `interference`."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    value: str
    positions: str


def main(interference: Path, transfers: Path, sets: Path, out: Path, /) -> None:
    """Write the tables of effects and `summary.json`."""
    settings = params.load("effects", Params)
    files = store.by_language(interference, params.load_languages(), suffix=".parquet")
    applied = Applied.model_validate(params.read_yaml(params.PARAMS)["interference"])
    write_summary(
        files, transfers, sets, out, applied=applied.model_dump(), **settings.model_dump()
    )


if __name__ == "__main__":
    run(main)
