"""Judge a claim that needs several contrasts to hold together."""

from collections.abc import Mapping
from dataclasses import dataclass

from neuron_atlas.statistics.random_effects import MeanTest, t_test
from neuron_atlas.verdicts.verdict import Claimed, Verdict, Word, judge, too_coarse

WORST_FIRST: tuple[Word, ...] = ("contradicted", "not supported", "untestable", "undecided")


@dataclass(frozen=True)
class Joint:
    """What several contrasts say of one claim.

    Attributes:
        word: The word.
        name: The contrast that decided, the first of those that did.
        shown: Its result.
        p_value: Its p; where all hold, the largest, that of the intersection-union test. It is
            below 0.05 exactly when the shown interval excludes 0.
        mde: The largest of the contrasts', because all have to be found.
    """

    word: Word
    name: str
    shown: MeanTest
    p_value: float
    mde: float

    def verdict(self, because: str, interest: float, unit: str = "nats") -> Verdict:
        """Return the verdict, with the reason where it is untestable."""
        coarse = too_coarse(self.mde, interest, unit)
        reason = coarse if self.word == "untestable" else None
        if reason:
            because = f"{because} {reason[0].upper()}{reason[1:]}."
        return Verdict(self.word, self.shown.effect, self.p_value, because, self.mde, reason)


def against_rivals(
    differences: Mapping[str, MeanTest], claimed: Claimed, *, negligible: float, interest: float
) -> Joint:
    """Judge a claim that something beats every rival, by the hardest of them.

    The claim needs every rival to be beaten (intersection-union test, Berger 1982). That some rival
    is better, or as good, may be said of any of them, so it is read off an interval that holds for
    all rivals together.

    Args:
        differences: By rival, what is claimed to be harmful or gainful less the rival's.
        claimed: Direction of all of them.
        negligible: As in `all_of`.
        interest: Likewise.
    """
    sign = -1 if claimed == "harm" else 1
    hardest = min(differences, key=lambda name: sign * differences[name].statistic)
    found = differences[hardest]
    if judge(found, claimed, negligible=negligible) != "supported":
        n = len(differences)
        found = t_test(found.effect.mean, found.standard_error, found.freedom, n_tests=n)
    return all_of({hardest: found}, claimed, negligible=negligible, interest=interest)


def all_of(
    contrasts: Mapping[str, MeanTest], claimed: Claimed, *, negligible: float, interest: float
) -> Joint:
    """Judge a claim that holds only if every contrast does (Berger 1982, Technometrics 24).

    No correction is needed: to be found wrongly, every contrast has to be, the null one too.

    Args:
        contrasts: By name, the main one first.
        claimed: Direction of all of them.
        negligible: Size that does not matter; the claim falls if one contrast is shown as small.
        interest: Size that one would want to find.
    """
    words = {
        name: judge(found, claimed, negligible=negligible, interest=interest)
        for name, found in contrasts.items()
    }
    mde = max(found.mde for found in contrasts.values())
    for word in WORST_FIRST:
        if word in words.values():
            name = next(name for name in words if words[name] == word)
            return Joint(word, name, contrasts[name], contrasts[name].p_value, mde)
    name = next(iter(contrasts))
    p_value = max(found.p_value for found in contrasts.values())
    return Joint("supported", name, contrasts[name], p_value, mde)
