"""Parts are worked on by a Ray cluster's actors, in whatever order, and handed out in their own.

Imported only when Ray is asked for.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

import ray

from neuron_atlas.executors import ray_cluster, ray_work
from neuron_atlas.executors.ray_crew import Crew, Failure
from neuron_atlas.executors.ray_worker import here

AHEAD = 4  # times as many parts as workers may be under way, or wait for an earlier one
Part = TypeVar("Part")
Result = TypeVar("Result")
_crews: list[Crew] = []  # none, or the one of this process, whose actors hold the model


class RayExecutor:
    """Works on parts by actors that hold the model; they end with this process, or on an error."""

    def map(
        self, run: Callable[[Part], Result], parts: Iterable[Part]
    ) -> Generator[Result, None, None]:
        """Yield what `run` makes of each part; see `Executor.map`.

        Raises:
            ValueError: no worker can load the model, or a part ends one worker after another.
            Exception: what `run` raised of a part.
        """
        left = iter(parts)
        for first in left:  # if there is one
            yield from self._mapped(run, chain([first], left))

    def _mapped(self, run: Callable[[Part], Result], parts: Iterator[Part]) -> Iterator[Result]:
        crew = _crew()
        try:
            crew.take(here(), ray.put(ray_work.packed(run)))
            yield from _in_order(crew, parts)
        except BaseException:  # an interrupt too
            _crews.clear()
            crew.end()
            raise


def _crew() -> Crew:
    if not _crews:
        ray_cluster.join()
        _crews.append(Crew(ray_cluster.request()))
    return _crews[0]


def _in_order(crew: Crew, parts: Iterable[Any]) -> Iterator[Any]:
    """Yield the results in the order of the parts, of which a bounded number is ahead.

    What a part raises is raised in its turn, as the local executor does, so that the results of the
    parts before it are there.
    """
    left = enumerate(parts)
    results: dict[int, Any] = {}
    first, given, upcoming = 0, 0, next(left, None)
    while upcoming is not None or first < given:
        while upcoming is not None and given - first < AHEAD * crew.size:
            crew.add(*upcoming)
            given, upcoming = given + 1, next(left, None)
        results.update(crew.wait())
        while first in results:
            result = results.pop(first)
            if isinstance(result, Failure):
                raise result.error from None
            yield result
            first += 1
