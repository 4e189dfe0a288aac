"""The tokens that vectors of the head's input promote and suppress: overall, and by script."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from neuron_atlas.value_vectors import at_head
from neuron_atlas.value_vectors.at_head import AtHead, ValueVectors
from neuron_atlas.value_vectors.directions import ALL_SCRIPTS, PROMOTED, SUPPRESSED
from neuron_atlas.value_vectors.largest import Columns, Ends
from neuron_atlas.value_vectors.scripts import Vocabulary

REST = "the rest"  # of the tokens, in no script that is shown
SHARE = -1  # in place of a token's id: the row is a script's share
COLUMNS = {
    "vector": "int64",
    **dict.fromkeys(("direction", "script"), "str"),
    **dict.fromkeys(("rank", "token_id"), "int64"),
    "value": "float64",
}


class Listed(NamedTuple):
    """How many tokens are listed per vector and direction.

    Attributes:
        overall: Of all scripts.
        per_script: Of each script that is shown.
        counted: First tokens of which the share of each script is counted.
    """

    overall: int
    per_script: int
    counted: int


@dataclass(frozen=True)
class TopTokens:
    """Lists what vectors promote and suppress.

    Attributes:
        vectors: What the model's neurons write.
        words: Its vocabulary.
        shown: The scripts of which tokens are listed by themselves.
        listed: How many tokens.
    """

    vectors: ValueVectors
    words: Vocabulary
    shown: Sequence[str]
    listed: Listed

    def table(self, heads: AtHead, names: Int64[np.ndarray, " vector"]) -> pd.DataFrame:
        """Return the first tokens of some vectors, and the share of each script among them.

        Args:
            heads: Vectors as the head reads them.
            names: A number that names each.

        Returns:
            `COLUMNS`: one row per vector, direction, script and rank, with a token's logit as
            `value`, tokens of equal logits by id; and one per script that is among the first
            `listed.counted` tokens, with `SHARE` in place of a token and its share as `value`.
        """
        if not len(heads):
            return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
        parts = pd.concat(list(self._parts(heads, names)), ignore_index=True)
        return parts[list(COLUMNS)].astype(COLUMNS)

    def _parts(self, heads: AtHead, names: Int64[np.ndarray, " vector"]) -> Iterator[pd.DataFrame]:
        how, logits = self.listed, self._columns.grouped(at_head.logits(heads, self._rows))
        for direction, ends in ((PROMOTED, logits.largest), (SUPPRESSED, logits.smallest)):
            first = ends(max(how.overall, how.counted))
            yield self._shares(first.ids[:, : how.counted], names, direction)
            listed = Ends(first.ids[:, : how.overall], first.values[:, : how.overall])
            yield _table(listed, names, direction, ALL_SCRIPTS)
            for script in self._scripts:
                yield _table(ends(how.per_script, script), names, direction, script)

    def _shares(
        self,
        first: Int[Tensor, "vector counted"],
        names: Int64[np.ndarray, " vector"],
        direction: str,
    ) -> pd.DataFrame:
        """Return the share of each script among the first tokens, the largest first."""
        scripts = self.words.script[first.cpu().numpy()]
        n_scripts, n = len(self.words.scripts), scripts.shape[1]
        owner = np.arange(len(names))[:, None] * n_scripts
        counts = np.bincount((owner + scripts).ravel(), minlength=len(names) * n_scripts)
        row, script = np.divmod(counts.nonzero()[0], n_scripts)
        found = counts[counts > 0]
        order = np.lexsort((script, -found, row))
        columns = {
            "vector": names[row[order]],
            "direction": direction,
            "script": np.array(self.words.scripts, dtype=object)[script[order]],
            "rank": 0,
            "token_id": SHARE,
            "value": found[order] / n,
        }
        return pd.DataFrame(columns)

    @cached_property
    def _scripts(self) -> list[str]:
        """The scripts of which tokens are listed by themselves."""
        return [script for script in self.shown if len(self.words.of(script))]

    @cached_property
    def _columns(self) -> Columns:
        """The tokens, those of each of these scripts together."""
        own = {script: self.words.of(script) for script in self._scripts}
        every = np.flatnonzero(self.words.there)
        rest = np.setdiff1d(every, np.concatenate([every[:0], *own.values()]))
        parts = {script: torch.from_numpy(ids) for script, ids in {**own, REST: rest}.items()}
        return Columns.of(parts).to(self.vectors.lm.device)

    @cached_property
    def _rows(self) -> Float[Tensor, "column width"]:
        """The output embeddings, in the order of the columns."""
        return self.vectors.rows(self._columns.flat)


def _table(
    ends: Ends, names: Int64[np.ndarray, " vector"], direction: str, script: str
) -> pd.DataFrame:
    n = ends.ids.shape[1]
    columns = {
        "vector": np.repeat(names, n),
        "direction": direction,
        "script": script,
        "rank": np.tile(np.arange(n), len(names)),
        "token_id": ends.ids.cpu().numpy().ravel(),
        "value": ends.values.double().cpu().numpy().ravel(),
    }
    return pd.DataFrame(columns)
