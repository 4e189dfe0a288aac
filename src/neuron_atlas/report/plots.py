"""Draw the plots as SVG: the same Vega-Lite plots as `dvc plots show` draws."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import vl_convert
from dvc_render.vega import VegaRenderer  # type: ignore[import-untyped]

from neuron_atlas.pipeline.store import atomic
from neuron_atlas.report.plot_data import Records

TEMPLATES = Path(".dvc/plots")
VEGA_LITE = "5.8"  # `dvc plots show` loads 5.2; this is the closest version installed


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


def svg(name: str, records: Records, *, templates: Path = TEMPLATES) -> str:
    """Draw `PLOTS[name]` with the template that `dvc plots show` uses.

    Args:
        name: Which plot.
        records: Its data, at least one record.
        templates: Folder of the Vega-Lite templates.

    Returns:
        An SVG image; the same records always give the same text. Its ids start with `name`, so
        that one page can hold several images.
    """
    plot = PLOTS[name]
    renderer = VegaRenderer(
        [{**record, "rev": ""} for record in records],
        name,
        template=plot.template,
        template_dir=str(templates),
        **{key: getattr(plot, key) for key in ("x", "y", "title", "x_label", "y_label")},
    )
    spec = renderer.get_filled_template()
    spec["config"] = {**spec["config"], "aria": False}  # the page describes the image as a whole
    return _renamed_ids(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE), name)


def write(path: Path, records: Records) -> None:
    """Write records as a JSON list, one per line; numbers stay numbers."""
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]
    with atomic(path) as temporary:
        temporary.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def _renamed_ids(image: str, prefix: str) -> str:
    """Number an SVG's ids in their order, because the renderer's depend on what it drew before."""
    found = dict.fromkeys(re.findall(r'\bid="([^"]+)"', image))
    names = {old: f"{prefix}-{number}" for number, old in enumerate(found)}
    image = re.sub(r'\bid="([^"]+)"', lambda m: f'id="{names[m[1]]}"', image)
    return re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{names[m[1]]})", image)
