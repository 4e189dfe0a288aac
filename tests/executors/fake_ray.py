"""A stand-in for Ray in this process: actors answer in any order, but each in its own."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import cloudpickle
import numpy as np
import pytest

from neuron_atlas import executors


class RayError(Exception):
    """As `ray.exceptions.RayError`."""


class RayTaskError(RayError):
    """As Ray's: what was raised in an actor is its cause."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"ray::Worker.run()\n{cause!r}")
        self.cause = cause


class RaySystemError(RayError):
    """As Ray's: what an actor answered could not be read."""


class UnserializableException(RayError):
    """As Ray's: what was raised in an actor could not be read."""


class Killed(BaseException):
    """What a part raises to be killed, and its actor with it."""


class Actor:
    """An object whose methods are called when their answers are asked for."""

    def __init__(self, kind: Callable[[], Any]) -> None:
        self.value, self.dead = kind(), False

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *words: Answer(self, name, words))


class Answer:
    """What a call resolves to."""

    def __init__(self, actor: Actor, name: str, words: tuple[Any, ...]) -> None:
        self.actor, self.name, self.words = actor, name, words


class Ray(ModuleType):
    """What the executor uses of the module `ray`.

    Attributes:
        actors: All that were started.
        is_out_of_reach: Whether ending an actor fails.
    """

    cloudpickle = cloudpickle

    def __init__(self, n_cpus: int) -> None:
        super().__init__("ray")
        self.actors: list[Actor] = []
        self.is_out_of_reach = False
        self._n_cpus, self._random = n_cpus, np.random.default_rng(0)
        self.exceptions = ModuleType("ray.exceptions")
        for kind in (RayError, RayTaskError, RaySystemError, UnserializableException):
            setattr(self.exceptions, kind.__name__, kind)

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": float(self._n_cpus)}}]

    def put(self, value: object) -> object:
        return value

    def remote(self, kind: Callable[[], Any]) -> Any:
        def start() -> Actor:
            self.actors.append(Actor(kind))
            return self.actors[-1]

        started = SimpleNamespace(remote=start)
        return SimpleNamespace(options=lambda **_: started)

    def wait(self, answers: list[Answer], timeout: float) -> tuple[list[Answer], list[Answer]]:
        del timeout
        if lost := [one for one in answers if one.actor.dead]:
            return [lost[0]], []  # they answer at once
        actor = answers[int(self._random.integers(len(answers)))].actor
        return [next(one for one in answers if one.actor is actor)], []

    def get(self, answer: Answer) -> object:
        try:
            if answer.actor.dead:
                raise Killed
            return getattr(answer.actor.value, answer.name)(*answer.words)
        except Killed:
            answer.actor.dead = True
            raise RayError("The actor died.\nIts process was killed.") from None
        except UnserializableException:
            raise
        except Exception as error:
            raise RayTaskError(error) from None

    def kill(self, actor: Actor) -> None:
        actor.dead = True
        if self.is_out_of_reach:
            raise RayError("there is no cluster any more")


@contextmanager
def in_place_of_ray(n_cpus: int) -> Iterator[Ray]:
    """Let what imports Ray find the stand-in; undone afterwards."""
    ray = Ray(n_cpus)
    given = {"ray": ray, "ray.exceptions": ray.exceptions, "ray.cloudpickle": cloudpickle}
    with pytest.MonkeyPatch.context() as patch:
        _forget(patch)
        for name, module in given.items():
            patch.setitem(sys.modules, name, module)
        yield ray
        for name in _ours():  # those that found the stand-in
            del sys.modules[name]
            delattr(executors, name.rpartition(".")[2])


def _ours() -> list[str]:
    return [name for name in sys.modules if name.startswith(f"{executors.__name__}.ray_")]


def _forget(patch: pytest.MonkeyPatch) -> None:
    """Remove Ray and what has imported it, until the patch is undone."""
    for name in _ours():
        patch.delattr(executors, name.rpartition(".")[2])
        patch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
        patch.delitem(sys.modules, name)
