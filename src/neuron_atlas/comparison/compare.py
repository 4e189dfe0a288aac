"""Compare runs of the repository, by name."""

from collections.abc import Sequence
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from neuron_atlas.comparison import page
from neuron_atlas.comparison.choice import choices
from neuron_atlas.comparison.ownership import unreadable
from neuron_atlas.comparison.runs import read_run
from neuron_atlas.comparison.side_by_side import Comparison, side_by_side, without_twin
from neuron_atlas.pipeline.store import atomic

PAGE = Path("report/compare.html")


def compare(names: Sequence[str] = (), root: Path = Path()) -> Comparison:
    """Compare runs: experiments, commits, or the workspace.

    Nothing is fetched, computed again or changed.

    Args:
        names: Two or more, as `choice.choices` takes them; none means the current commit, the
            workspace if it differs, and the experiments made from this commit.
        root: A folder of the repository.

    Raises:
        ValueError: a name is unknown, there are fewer than two runs, or the folder is in no
            repository.
    """
    try:
        with Repo(str(root)) as repo:
            runs = [read_run(repo, choice) for choice in choices(repo, names)]
    except (DvcException, SCMError) as error:
        raise ValueError(unreadable(error)) from error
    found = runs if names else without_twin(runs)
    if len(found) < 2:
        what = "the names are of one run" if names else "no experiment was made from this commit"
        raise ValueError(
            f"expected two or more runs, got {found[0].choice.name} alone: {what}; name others, "
            "such as HEAD~1 and HEAD"
        )
    return side_by_side(found)


def write_page(comparison: Comparison, out: Path = PAGE) -> None:
    """Write the comparison as one HTML page."""
    text = page.render(comparison)
    with atomic(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
