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


def test_machines_that_are_lost_between_two_works_are_replaced(
    ray: fake_ray.Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three actors at once, none of which had anything to do."""
    monkeypatch.setenv("NEURON_ATLAS_RAY_WORKERS", "4")
    assert list(chosen().map(square, range(9))) == [x**2 for x in range(9)]
    for actor in ray.actors[:3]:
        actor.dead = True
    assert list(chosen().map(square, range(9))) == [x**2 for x in range(9)]
    assert len(ray.actors) == 4 + 3


@pytest.mark.usefixtures("ray")
def test_actors_that_end_as_they_load_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen()
    from neuron_atlas.executors import ray_worker

    def end(*_: object) -> None:
        raise fake_ray.Killed

    monkeypatch.setattr(ray_worker.Worker, "take", end)
    with pytest.raises(ValueError, match=r"^loading the model has ended 3 Ray workers"):
        list(chosen().map(square, range(3)))


def test_all_actors_are_ended_though_one_cannot_be(ray: fake_ray.Ray) -> None:
    found = chosen().map(square, range(30))
    next(found)
    ray.is_out_of_reach = True
    found.close()
    assert len(ray.actors) == N_CPUS
    assert all(actor.dead for actor in ray.actors)


def unreadable(x: int) -> int:
    raise fake_ray.UnserializableException(f"part {x} raised what cannot be read")


def test_an_error_that_cannot_be_read_costs_no_actor(ray: fake_ray.Ray) -> None:
    with pytest.raises(RuntimeError, match=r"^part 7 raised what cannot be read"):
        list(chosen().map(unreadable, [7]))
    assert len(ray.actors) == 1


@pytest.mark.usefixtures("ray")
def test_one_work_at_a_time() -> None:
    first, second = (chosen().map(square, range(9)) for _ in range(2))
    next(first)
    with pytest.raises(RuntimeError, match="at work on other parts"):
        next(second)


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(("device", "n_gpus"), [("cpu", 0), ("cuda:0", 1), ("", 1)])
def test_workers_get_a_gpu_if_the_stage_works_on_one(
    monkeypatch: pytest.MonkeyPatch, device: str, n_gpus: int
) -> None:
    chosen()
    from neuron_atlas.executors import ray_cluster

    monkeypatch.setenv("NEURON_ATLAS_DEVICE", device)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert ray_cluster.request().n_gpus == n_gpus


@pytest.mark.usefixtures("ray")
def test_workers_are_told_where_models_go_and_wait_without_spinning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen()
    from neuron_atlas.executors import ray_cluster

    monkeypatch.setenv("NEURON_ATLAS_DEVICE", "spread")
    monkeypatch.setenv("NEURON_ATLAS_MEMORY", "cpu=2GiB")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    told = ray_cluster.request().options["runtime_env"]["env_vars"]
    assert told["NEURON_ATLAS_DEVICE"] == "spread"
    assert told["NEURON_ATLAS_MEMORY"] == "cpu=2GiB"
    assert told["OMP_WAIT_POLICY"] == "passive"


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("address", [None, "local"])
def test_a_cluster_of_its_own_is_not_the_last_one_that_was_started_here(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    chosen()
    import ray

    from neuron_atlas.executors import ray_cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    given: dict[str, Any] = {}
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", given.update, raising=False)
    ray_cluster.join()
    assert given["address"] == "local"
    assert given["num_cpus"] >= 1


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
        ({"versions": "Python 2"}, "the versions there is .*numpy .*, here it is Python 2"),
        ({"code": "0"}, "the code there is .*, here it is 0"),
        ({"processor": "abacus"}, "the processor there is .*, here it is abacus; the last digits"),
    ):
        other = ray_worker.Surroundings(**{**vars(here), **change})
        with pytest.raises(ValueError, match=expected):
            other.enter()
    with pytest.raises(ValueError, match=r"precision of products there is .*, here it is 'none'"):
        ray_worker.Surroundings(**{**vars(here), "products": "none"}).limit()
