"""The plots that `dvc plots show` draws: what they are called, and their data."""

import json
from dataclasses import dataclass
from pathlib import Path

from neuron_atlas.pipeline.store import atomic
from neuron_atlas.report.plot_data import Records

TEMPLATES = Path(".dvc/plots")


@dataclass(frozen=True)
class Plot:
    """One entry of `plots:` in dvc.yaml; its data are `plots/<name>.json`.

    Attributes:
        template: Name of a file in `.dvc/plots`, without its ending.
        x: Column on the horizontal axis.
        y: Column on the vertical axis.
        title: Heading of the plot.
        x_label: Text at the horizontal axis.
        y_label: Text at the vertical axis.
    """

    template: str
    x: str
    y: str
    title: str
    x_label: str
    y_label: str


PLOTS = {
    "recall": Plot(
        "share_map",
        x="language",
        y="relation",
        title="Typed accuracy (small: always giving the most frequent answer)",
        x_label="language",
        y_label="relation",
    ),
    "consistency": Plot(
        "share_map",
        x="language",
        y="compared_with",
        title="Do two languages rank the answers alike? (RankC)",
        x_label="language",
        y_label="compared with",
    ),
    "layers": Plot(
        "layer_counts",
        x="layer",
        y="neurons",
        title="Relation neurons in each layer (dashed: spread evenly)",
        x_label="layer",
        y_label="neurons",
    ),
    "overlap": Plot(
        "ratio_map",
        x="relation",
        y="compared_with",
        title="Neurons shared by two relations, as a multiple of chance (outlined: q < 0.05)",
        x_label="relation",
        y_label="compared with",
    ),
    "interference": Plot(
        "effect_map",
        x="measured",
        y="relation",
        title="Effect of switching off a relation's neurons (outlined: p < 0.05, adjusted)",
        x_label="relation asked",
        y_label="relation switched off",
    ),
    "contrasts": Plot(
        "estimates",
        x="label",
        y="value",
        title="What a relation's neurons do to its right answers beyond each control",
        x_label="control",
        y_label="change less the control's, nats",
    ),
    "doses": Plot(
        "dose_curves",
        x="share",
        y="effect",
        title="Effect on a relation's own questions as more of its neurons are switched off",
        x_label="neurons switched off, share of the set",
        y_label="change of the answer's log-probability, nats",
    ),
    "transfer": Plot(
        "effect_map",
        x="target",
        y="source",
        title="Effect of one language's neurons on another (outlined: p < 0.05, adjusted)",
        x_label="language asked",
        y_label="language the neurons were found in",
    ),
    "selection": Plot(
        "estimates",
        x="label",
        y="value",
        title="What suppressing and enhancing each method's neurons does to the fact alone",
        x_label="how neurons are selected",
        y_label="change on the fact less that on others, nats",
    ),
    "language_map": Plot(
        "share_map",
        x="language",
        y="compared_with",
        title="Neurons of a fact in two languages (Jaccard; small: two facts; outlined: q < 0.05)",
        x_label="language",
        y_label="compared with",
    ),
    "language_counts": Plot(
        "estimates",
        x="label",
        y="value",
        title="Neurons of a fact that several languages share, against chance",
        x_label="languages that share a neuron",
        y_label="neurons a fact",
    ),
    "language_layers": Plot(
        "layer_counts",
        x="layer",
        y="neurons",
        title="Language-independent neurons in each layer (dashed: spread evenly)",
        x_label="layer",
        y_label="neurons",
    ),
    "editing": Plot(
        "estimates",
        x="label",
        y="value",
        title="What a real edit through each arm's neurons does to the new answer",
        x_label="which neurons are edited",
        y_label="gain of the new answer over the old, nats",
    ),
    "interactions": Plot(
        "distribution",
        x="interaction",
        y="share",
        title="Interaction of two neurons of a fact, and of controls",
        x_label="interaction in log-odds, nats",
        y_label="share of pairs",
    ),
    "detectors": Plot(
        "estimates",
        x="label",
        y="value",
        title="Telling true claims from false ones (line: chance)",
        x_label="detector",
        y_label="area under the curve",
    ),
}


def write(path: Path, records: Records) -> None:
    """Write records as a JSON list, one per line; numbers stay numbers.

    DVC writes texts into a script of its page as they are, which `<` could end; here it is `‹`.
    """
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]
    text = ",\n".join(lines).replace("<", "‹")
    with atomic(path) as temporary:
        temporary.write_text(f"[\n{text}\n]\n", encoding="utf-8")
