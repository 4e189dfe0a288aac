"""How much is asked of a model: what the user counts, and what a run finds on its way."""

from dataclasses import dataclass
from math import ceil, isfinite

from neuron_atlas.costs.amount import Amount

HELD_OUT = 0.47  # of a relation's facts: subject and answers are both on the testing half
ALL_INNER = 2.2  # inner tokens of an answer from which on no two candidates share any
SELECTING = 0.45  # the same of the half that finds neurons
OWN = 0.52  # of a prompt's tokens: others begin alike, and share a pass over their beginning
WORDS = 0.43  # per token, the query's words that may be hidden: not those at the answer's position
ANSWERED = 0.65  # a share k of right prompts leaves k ** this of those whose fact is right once

COUNTS = (
    *("languages", "facts", "relations", "templates"),
    *("prompt_tokens", "answer_tokens", "candidate_tokens", "candidates"),
)


@dataclass(frozen=True)
class RunSize:
    """The size of a run.

    The first four are counts. The others are not known before a run: by default they are what the
    default run found, on average over its languages.

    Attributes:
        languages: Languages.
        facts: Facts per language.
        relations: Relations.
        templates: Paraphrases of each fact, one of which only tests.
        prompt_tokens: Tokens of a prompt.
        answer_tokens: Tokens of a right answer.
        candidate_tokens: Tokens of a candidate.
        candidates: Answers of a fact's type.
        right: Share of the prompts that are answered right.
        eligible: Share of the relations of which a language knows enough for a set of neurons.
        crossed: Share of the tested facts whose subject is also asked another relation.
        shared: Share of the facts that three languages or more know.
    """

    languages: int
    facts: int
    relations: int
    templates: int
    prompt_tokens: Amount = 12.9
    answer_tokens: Amount = 2.1
    candidate_tokens: Amount = 2.1
    candidates: Amount = 25.0
    right: Amount = 0.43
    eligible: Amount = 0.61
    crossed: Amount = 0.43
    shared: Amount = 0.2

    def __post_init__(self) -> None:
        """Check the counts.

        Raises:
            ValueError: a count is below 1 or no finite number, there are more relations than facts,
                or a share is not in [0, 1].
        """
        for name in COUNTS:
            if not (isfinite(count := getattr(self, name)) and count >= 1):
                raise ValueError(f"{name} must be a finite number of at least 1, got {count}")
        if self.relations > self.facts:
            raise ValueError(
                f"{self.relations} relations need as many facts per language, got {self.facts}"
            )
        for name in ("right", "eligible", "crossed", "shared"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share in [0, 1], got {getattr(self, name)}")

    @property
    def own_tokens(self) -> Amount:
        """Tokens that a prompt does not share with the one before it, in the same sequence."""
        return OWN * self.prompt_tokens

    @property
    def words(self) -> Amount:
        """Words of a prompt that are hidden in turn."""
        return WORDS * self.prompt_tokens

    @property
    def inner_tokens(self) -> Amount:
        """Inner tokens that one more candidate adds to a tree of answers: short ones share them."""
        inner = self.candidate_tokens - 1
        return inner * min(1.0, inner / ALL_INNER)

    @property
    def prompts(self) -> Amount:
        """Prompts per language."""
        return float(self.facts * self.templates)

    @property
    def per_relation(self) -> Amount:
        """Facts per relation and language."""
        return self.facts / self.relations

    @property
    def recorded(self) -> Amount:
        """Prompts per language whose neuron values are kept: their fact is right at least once."""
        return float(self.prompts * self.right**ANSWERED)

    @property
    def selecting(self) -> Amount:
        """Right prompts per language that find neurons."""
        share = (self.templates - 1) / self.templates if self.templates > 1 else 1.0
        return self.prompts * share * self.right * SELECTING

    @property
    def held_out(self) -> Amount:
        """Right prompts per language of the other half, in all templates."""
        return self.prompts * self.right * HELD_OUT

    @property
    def selecting_templates(self) -> int:
        """Templates that find neurons."""
        return max(1, self.templates - 1)

    @property
    def with_sets(self) -> int:
        """Relations of which a language has a set of neurons."""
        return max(1, round(self.relations * self.eligible))

    def tested(self, relations: Amount, most: Amount) -> Amount:
        """Return the held-out facts of some relations, at most so many of each."""
        return relations * min(most, self.per_relation * HELD_OUT)

    def known(self, most: int | None) -> int:
        """Return the known facts per language, at most so many of each relation."""
        found = self.per_relation * self.right
        return ceil(self.relations * (found if most is None else min(most, found)))
