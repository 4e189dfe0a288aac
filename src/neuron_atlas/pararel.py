"""mParaRel: paraphrased templates of mLAMA's relations, in the form of mLAMA's own."""

from collections.abc import Sequence
from pathlib import Path

from neuron_atlas.json_records import relation_name
from neuron_atlas.line_files import opened
from neuron_atlas.mlama import template, tree


def read(
    folder: Path, language: str, relations: Sequence[str] | None
) -> dict[str, tuple[str, ...]]:
    """Read one language's paraphrases (Elazar et al. 2021 in English, Fierro and Søgaard 2022).

    Args:
        folder: Holds `<language>/<relation>.jsonl`, as a folder or a zip archive.
        language: The name of one of its folders; another gives no templates.
        relations: Those to read, or None for all; one without a file is left out.

    Returns:
        Templates by relation, in the files' order, with `{subject}` and `{object}`.

    Raises:
        ValueError: there is no such file in any language, or a line is malformed.
    """
    with opened(folder) as files:
        found = tree(files, "*.jsonl").get(language, {})
        names = sorted(found) if relations is None else [n for n in relations if n in found]
        return {
            relation_name(name, files.where(found[name])): tuple(
                template(record, "pattern", where) for where, record in files.records(found[name])
            )
            for name in names
        }
