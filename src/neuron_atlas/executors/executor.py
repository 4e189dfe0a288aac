"""What works on the parts of some work, in the order of the parts; the environment chooses it.

It is no parameter: results do not depend on it, byte for byte, so that no stage is out of date when
another one is chosen, and a run that one has begun another may finish.
"""

import os
from collections.abc import Callable, Generator, Iterable
from typing import Protocol, TypeVar, runtime_checkable

VARIABLE = "NEURON_ATLAS_EXECUTOR"
LOCAL, RAY = "local", "ray"
Part = TypeVar("Part")
Result = TypeVar("Result")


@runtime_checkable
class Executor(Protocol):
    """Works on parts."""

    def map(
        self, run: Callable[[Part], Result], parts: Iterable[Part]
    ) -> Generator[Result, None, None]:
        """Yield what `run` makes of each part, in the order of the parts.

        Args:
            run: Depends on nothing but the part and what it holds, and changes nothing.
            parts: Taken one by one, not long before they are worked on.
        """
        ...


class Local:
    """Works on one part after another, in this process."""

    def map(
        self, run: Callable[[Part], Result], parts: Iterable[Part]
    ) -> Generator[Result, None, None]:
        """Yield what `run` makes of each part, made when it is asked for."""
        for part in parts:
            yield run(part)


def name() -> str:
    """Return the name of the executor that the environment chooses.

    Raises:
        ValueError: there is none of this name.
    """
    found = os.environ.get(VARIABLE) or LOCAL
    if found not in (LOCAL, RAY):
        raise ValueError(
            f"the environment variable {VARIABLE} must be {LOCAL!r} or {RAY!r}, got {found!r}"
        )
    return found


def chosen() -> Executor:
    """Return the executor that the environment chooses; Ray's workers are started when it works.

    Raises:
        ValueError: it is not known, or not installed.
    """
    if name() == LOCAL:
        return Local()
    from neuron_atlas.executors import ray_environment

    ray_environment.set_defaults()
    try:
        from neuron_atlas.executors import ray_executor
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{VARIABLE} is {RAY!r}, but {error.name!r} is not installed; "
            'install it with `pip install -c constraints.txt -e ".[ray]"`, or unset the variable'
        ) from error
    return ray_executor.RayExecutor()
