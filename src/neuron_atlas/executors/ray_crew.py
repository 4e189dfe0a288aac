"""The actors that work for one process: hired as parts come, and replaced when they are lost.

A lost actor, with its machine or by a kill, costs the parts that it was given: others redo them.
"""

import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RaySystemError, RayTaskError, UnserializableException

from neuron_atlas.executors.ray_cluster import Request
from neuron_atlas.executors.ray_worker import Surroundings, Worker

AT_ONCE = 2  # parts of an actor: one under way, and one that is there when it is done
LOST = 3  # actors that one part, or the loading of the work, may cost
SILENCE = 60.0  # seconds without an actor that is ready, after which the user is told
LOADING = -1  # in place of a part's number
UNREADABLE = (RaySystemError, UnserializableException)


@dataclass(eq=False)
class _Hand:
    """An actor, and what it was asked: by what resolves to the answer, the part's number.

    Attributes:
        actor: The actor.
        losses: How many before it in its place were lost, one after another, as they loaded.
        asked: In the order in which it was asked.
    """

    actor: Any
    losses: int = 0
    asked: dict[Any, int] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether it has taken the work."""
        return LOADING not in self.asked.values()


@dataclass(frozen=True)
class Failure:
    """What the work raised of a part."""

    error: Exception


class Crew:
    """Actors that take one work, then parts of it."""

    def __init__(self, request: Request) -> None:
        self.size = request.n_workers
        self._request = request
        self._class = ray.remote(Worker).options(**request.options)
        self._hands: list[_Hand] = []
        self._work: tuple[Surroundings, Any]
        self._parts: dict[int, Any] = {}  # those that are not done
        self._waiting: list[int] = []  # those that no actor was given
        self._costs: Counter[int] = Counter()
        self._told = False

    def take(self, surroundings: Surroundings, work: Any) -> None:
        """Take a work in place of the one before, all of whose parts are done.

        Args:
            surroundings: Those of this process.
            work: Refers to what `ray_work.packed` made.

        Raises:
            RuntimeError: parts of the one before are not done.
        """
        if self._parts:
            raise RuntimeError("the workers are at work on other parts; take those to their end")
        self._work = surroundings, work
        self._costs.clear()
        for hand in self._hands:
            hand.losses = 0
            self._load(hand)

    def add(self, number: int, part: Any) -> None:
        """Take a part, and hire one more actor if all have enough to do."""
        self._parts[number] = part
        self._waiting.append(number)
        if len(self._hands) < min(self.size, len(self._parts)):
            self._hire()

    def wait(self) -> dict[int, Any]:
        """Wait until something is done, and return the results that are there, by number.

        In place of a result, a `Failure` holds what the work raised of a part.

        Raises:
            ValueError: actors cannot take the work, or are lost time and again.
        """
        self._hand_out()
        asked = [answer for hand in self._hands for answer in hand.asked]
        ready, _ = ray.wait(asked, timeout=SILENCE)
        if not ready and not any(hand.is_ready for hand in self._hands):
            self._tell()
        return {number: value for answer in ready for number, value in self._answered(answer)}

    def end(self) -> None:
        """End all actors."""
        for hand in self._hands:
            _kill(hand.actor)
        self._hands.clear()

    def _hire(self, losses: int = 0) -> None:
        hand = _Hand(self._class.remote(), losses)
        self._hands.append(hand)
        self._load(hand)

    def _load(self, hand: _Hand) -> None:
        hand.asked[hand.actor.take.remote(*self._work)] = LOADING

    def _hand_out(self) -> None:
        """Give the waiting parts to the actors that have the least to do, the first part first."""
        self._waiting.sort()
        while self._waiting:
            free = [h for h in self._hands if h.is_ready and len(h.asked) < AT_ONCE]
            if not free:
                return
            hand, number = min(free, key=lambda h: len(h.asked)), self._waiting.pop(0)
            hand.asked[hand.actor.run.remote(self._parts[number])] = number

    def _answered(self, answer: Any) -> list[tuple[int, Any]]:
        """Return a part's number and result; nothing if it was none, or has to be redone."""
        hand = next((h for h in self._hands if answer in h.asked), None)
        if hand is None:  # lost a moment ago
            return []
        number = hand.asked[answer]
        try:
            value = ray.get(answer)
        except RayTaskError as error:
            value = Failure(_own(error))
            if number == LOADING:
                raise value.error from None
        except UNREADABLE as error:  # what the work raised or returned did not arrive
            value = Failure(RuntimeError(_reason(error)))
            if number == LOADING:
                raise value.error from error
        except RayError as error:
            self._lose(hand, error)
            return []
        del hand.asked[answer]
        if number == LOADING:
            hand.losses = 0
            return []
        del self._parts[number]
        return [(number, value)]

    def _lose(self, hand: _Hand, error: RayError) -> None:
        """Let others redo what an actor was given, and hire one in its place.

        Raises:
            ValueError: the same part, or the loading of the work, has cost too many actors.
        """
        self._hands.remove(hand)
        _kill(hand.actor)  # if it is only out of reach
        under_way, losses = next(iter(hand.asked.values())), 0
        if under_way == LOADING:
            losses = hand.losses + 1
        else:
            self._costs[under_way] += 1
        if max(losses, self._costs[under_way]) >= LOST:
            what = "loading the model" if under_way == LOADING else f"part {under_way + 1}"
            raise ValueError(
                f"{what} has ended {LOST} Ray workers, one after another, most often for lack of "
                "memory: let fewer work on a machine, NEURON_ATLAS_RAY_WORKERS, or see the logs of "
                f"Ray ({_reason(error)})"
            )
        self._waiting += [number for number in hand.asked.values() if number != LOADING]
        self._hire(losses)

    def _tell(self) -> None:
        if not self._told:
            self._told, r = True, self._request
            print(  # noqa: T201
                f"notice: no Ray worker is ready yet, of {r.n_workers} with {r.n_cpus} CPUs and "
                f"{r.n_gpus} GPUs each; `ray status` says what the cluster has",
                file=sys.stderr,
            )


def _kill(actor: Any) -> None:
    """End an actor, if Ray still can: others have to be ended too."""
    with suppress(Exception):
        ray.kill(actor)


def _own(error: RayTaskError) -> Exception:
    """Return what was raised in an actor, without what Ray puts around it; that becomes a note."""
    cause = error.cause if isinstance(error.cause, Exception) else RuntimeError(_reason(error))
    cause.add_note(str(error))
    return cause


def _reason(error: RayError) -> str:
    """Return the last line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
