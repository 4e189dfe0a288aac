"""Which facts are asked, and in which prompts: those that the model knows in both languages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from neuron_atlas.facts import roles
from neuron_atlas.scoring import prompt_choice

Prompt = tuple[str, int]  # fact and template


def shared_facts(
    recall: Mapping[str, pd.DataFrame], *, relations: int, facts: int
) -> dict[str, str]:
    """Return the relation of each fact that is used, in the order of the facts.

    Both papers take facts of a benchmark and one prompt each; here a fact has to be known in every
    language, and answered right in one of the templates that select.

    Args:
        recall: The recall table of each language.
        relations: Relations at most: those with most facts.
        facts: Facts per relation at most.

    Raises:
        ValueError: fewer than two relations are left.
    """
    found = prompt_choice.first_known(next(iter(recall.values())), max_facts=None)
    found = found.drop_duplicates("fact")[["fact", "relation"]]
    for table in recall.values():
        right = table["known"] & table["correct"] & roles.selecting_templates(table)
        found = found[found["fact"].isin(table[right]["fact"])]
    first = found.groupby("relation").head(facts)
    counts = first["relation"].value_counts()
    best = sorted(counts.index, key=lambda relation: (-counts[relation], relation))[:relations]
    if len(best) < 2:
        raise ValueError(
            f"expected facts of two or more relations known in {list(recall)}, got {dict(counts)}; "
            "choose other languages or a model that knows more"
        )
    kept = first[first["relation"].isin(best)]
    return dict(zip(kept["fact"], kept["relation"], strict=True))


@dataclass(frozen=True)
class Asked:
    """One language's prompts, as rows of its recall table.

    Attributes:
        language: Its code.
        recalled: All rows.
        relations: The relation of each fact that is used.
    """

    language: str
    recalled: pd.DataFrame
    relations: Mapping[str, str]

    @cached_property
    def published(self) -> pd.DataFrame:
        """The prompt of each fact that finds neurons and tests them, as in Chen et al."""
        facts = list(self.relations)
        return prompt_choice.measured_prompts(self.recalled, facts).assign(language=self.language)

    @cached_property
    def bags(self) -> pd.DataFrame:
        """All paraphrases of each fact that find neurons and test them, as in Dai et al."""
        return self._of_facts(roles.selecting_templates(self.recalled))

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """The paraphrase of each fact that finds nothing; none where a fact has but one."""
        found = self._of_facts(roles.testing_templates(self.recalled))
        single = pd.MultiIndex.from_frame(self.published[["fact", "template"]])
        taken = pd.MultiIndex.from_frame(found[["fact", "template"]]).isin(single)
        return found[~taken].drop_duplicates("fact")

    @cached_property
    def everything(self) -> pd.DataFrame:
        """All these prompts, each once."""
        parts = [self.published, self.bags, self.held_out]
        table = pd.concat(parts).drop_duplicates(["fact", "template"])
        return table.sort_values(["relation", "template", "fact"], ignore_index=True)

    def templates(self, prompts: pd.DataFrame, facts: Sequence[str]) -> list[Prompt]:
        """Return the prompts of some facts, fact by fact."""
        rows = prompts[prompts["fact"].isin(list(facts))].sort_values(["fact", "template"])
        return [(str(f), int(t)) for f, t in zip(rows["fact"], rows["template"], strict=True)]

    def _of_facts(self, those: pd.Series) -> pd.DataFrame:
        return self.recalled[those & self.recalled["fact"].isin(list(self.relations))]
