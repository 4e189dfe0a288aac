"""Actors of a stand-in for Ray: order, errors and losses, whoever answers first."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fake_ray
import pytest

from neuron_atlas.executors import executor

N_CPUS = 2


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_ray.Ray]:
    monkeypatch.setenv(executor.VARIABLE, executor.RAY)
    monkeypatch.delenv("NEURON_ATLAS_RAY_WORKERS", raising=False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    folder = Path.cwd()
    with fake_ray.in_place_of_ray(N_CPUS) as found:
        yield found
    os.chdir(folder)


def chosen() -> executor.Executor:
    os.environ[executor.VARIABLE] = executor.RAY  # an actor in this process has set it to local
    return executor.chosen()


def square(x: int) -> int:
    return x**2


def killed(marks: Path, n: int, x: int) -> int:
    """Kill the actor that works on some parts, as many times."""
    mark = marks / str(x)
    text = mark.read_text() if mark.exists() else ""
    if x in (3, 4, 9) and len(text) < n:
        mark.write_text(text + "x")
        raise fake_ray.Killed
    return square(x)


def broken(x: int) -> int:
    if x >= 4:
        raise KeyError(f"part {x}")
    return square(x)


class Unreadable:
    def __reduce__(self) -> Any:
        return int, ("not a number",)


def test_results_come_in_the_order_of_the_parts(ray: fake_ray.Ray) -> None:
    assert list(chosen().map(square, range(30))) == [x**2 for x in range(30)]
    assert len(ray.actors) == N_CPUS
    assert list(chosen().map(abs, [-1, -2])) == [1, 2]
    assert len(ray.actors) == N_CPUS  # the same ones


def test_without_a_part_there_is_no_actor(ray: fake_ray.Ray) -> None:
    assert list(chosen().map(square, [])) == []
    assert list(chosen().map(square, [3])) == [9]
    assert len(ray.actors) == 1


def test_what_lost_actors_were_given_is_redone(ray: fake_ray.Ray, tmp_path: Path) -> None:
    found = chosen().map(partial(killed, tmp_path, 2), range(12))
    assert list(found) == [x**2 for x in range(12)]
    assert len(ray.actors) == N_CPUS + 3 * 2
    assert sum(not actor.dead for actor in ray.actors) == N_CPUS


def test_a_part_that_costs_three_actors_is_an_error(ray: fake_ray.Ray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^part (4|5|10) has ended 3 Ray workers.*was killed"):
        list(chosen().map(partial(killed, tmp_path, 3), range(12)))
    assert all(actor.dead for actor in ray.actors)


def test_a_parts_error_comes_in_its_turn(ray: fake_ray.Ray) -> None:
    found = chosen().map(broken, range(12))
    assert [next(found) for _ in range(4)] == [0, 1, 4, 9]
    with pytest.raises(KeyError, match=r"^'part 4'") as caught:
        next(found)
    assert type(caught.value) is KeyError
    assert caught.value.__cause__ is None
    assert caught.value.__notes__[0].startswith("ray::Worker.run()")
    assert all(actor.dead for actor in ray.actors)
    assert list(chosen().map(square, [5])) == [25]  # with new ones


@pytest.mark.usefixtures("ray")
def test_work_that_cannot_be_taken_is_said_to_be() -> None:
    with pytest.raises(ValueError, match=r"^a Ray worker on .+ could not load .* 'not a number'"):
        list(chosen().map(partial(max, Unreadable()), range(3)))


@pytest.mark.usefixtures("ray")
def test_few_parts_are_ahead_and_the_actors_end_with_the_last_who_listens() -> None:
    taken: list[int] = []

    def parts() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    found = chosen().map(square, parts())
    for n in range(50):
        assert next(found) == n**2
        assert len(taken) <= n + 2 + 4 * N_CPUS
    found.close()
    assert len(taken) < 70


@pytest.mark.parametrize(
    ("given", "expected"), [(None, 2), ("5", 5)], ids=["what there is room for", "as asked"]
)
@pytest.mark.usefixtures("ray")
def test_there_are_as_many_actors_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int
) -> None:
    chosen()
    from neuron_atlas.executors import ray_cluster

    if given:
        monkeypatch.setenv(ray_cluster.WORKERS, given)
    request = ray_cluster.request()
    assert (request.n_workers, request.n_cpus) == (expected, 1)


@pytest.mark.usefixtures("ray")
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_ATLAS_RAY_WORKERS", "two")
    with pytest.raises(ValueError, match=r"RAY_WORKERS must be a whole number from 1, got 'two'"):
        list(chosen().map(square, [1]))


@pytest.mark.usefixtures("ray")
def test_another_version_or_folder_is_refused() -> None:
    chosen()
    from neuron_atlas.executors import ray_worker

    here = ray_worker.here()
    assert here.folder == str(Path.cwd())
    here.enter()
    for change, expected in (
        ({"folder": "/nowhere"}, "/nowhere does not exist there"),
        ({"versions": "Python 2"}, "the versions of neuron-atlas there is .*, here it is Python 2"),
        ({"code": "0"}, "the code of neuron-atlas there is .*, here it is 0"),
    ):
        other = ray_worker.Surroundings(**{**vars(here), **change})
        with pytest.raises(ValueError, match=expected):
            other.enter()
