"""The Ray cluster that the environment names, or one of this machine's own; how many workers."""

import os
import socket
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch

from neuron_atlas.executors import ray_environment
from neuron_atlas.executors.ray_environment import ADDRESS, MODE

WORKERS = "NEURON_ATLAS_RAY_WORKERS"
GPUS = "NEURON_ATLAS_RAY_GPUS"
WAITING = "OMP_WAIT_POLICY"  # OpenMP's own variable
DEVICE = "NEURON_ATLAS_DEVICE"  # where models are loaded, here and there
PASSED_ON = (DEVICE, "NEURON_ATLAS_MEMORY")  # what workers must be told besides
PATIENCE = 30.0  # seconds


@dataclass(frozen=True)
class Request:
    """What the workers get.

    Attributes:
        n_workers: How many there are, once the cluster has room for them.
        n_cpus: CPUs of each.
        n_gpus: GPUs of each.
    """

    n_workers: int
    n_cpus: int
    n_gpus: int

    @property
    def options(self) -> dict[str, Any]:
        """As Ray's `options` takes them; a worker finds the library where this process does."""
        path = [str(Path(p).absolute()) for p in sys.path if not _of_python(p)]
        told = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        # Idle threads that spin would slow down the workers with which they share a CPU.
        told |= {WAITING: os.environ.get(WAITING, "passive"), "PYTHONPATH": os.pathsep.join(path)}
        if not self.n_gpus and not torch.cuda.is_available():  # as here: Ray would not hide them
            told |= {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
        return {
            "num_cpus": self.n_cpus,
            "num_gpus": self.n_gpus,
            "max_restarts": 0,  # its work would be lost; `RayExecutor` starts another
            "runtime_env": {"env_vars": told},
        }


def _of_python(path: str) -> bool:
    """Return whether a worker's own Python has what is there."""
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(Path(path).is_relative_to(one) for one in own) or path.endswith(".zip")


def join() -> None:
    """Join the cluster of `RAY_ADDRESS`, or start one on this machine, which ends with the process.

    What workers print stays in Ray's logs: the one progress bar is the stage's.

    Raises:
        ValueError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    address = ray_environment.address()
    own: dict[str, Any] = {}
    if not address:  # else Ray would look for whatever cluster was started here last
        own = {"address": "local", "include_dashboard": False, "num_cpus": _cpus()}
    try:
        if address:
            _reach(address)
        ray.init(log_to_driver=False, logging_level="error", **own)
    except Exception as error:  # Ray raises many kinds, even this one itself
        where = f"at {ADDRESS}={address!r}" if address else "on this machine"
        token = f" (if it asks for a token, set {MODE}=token)" if address and _open() else ""
        raise ValueError(f"no Ray cluster can be joined {where}: {error}{token}") from error


def _open() -> bool:
    """Return whether no token would be sent; Ray's `start` asks for one wherever a file has it."""
    return os.environ.get(MODE, "").lower() != "token"


def _reach(address: str) -> None:
    """Find out soon whether anybody listens there: Ray would ask for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()


def _cpus() -> int:
    """Return the CPUs that a cluster of this machine says it has: enough for those asked for."""
    return max(os.cpu_count() or 1, torch.get_num_threads() * _number(WORKERS, 1))


def request() -> Request:
    """Return what the workers get: as many CPUs as threads, a GPU if the stage has one.

    Raises:
        ValueError: a variable holds something else than a number.
    """
    n_gpus = _number(GPUS, 1) if _on_gpus() else 0
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
    n_cpus = min(torch.get_num_threads(), most or torch.get_num_threads())
    room = sum(_room(node, n_cpus, n_gpus) for node in nodes)
    return Request(_number(WORKERS, max(room, 1)), n_cpus, n_gpus)


def _on_gpus() -> bool:
    """Return whether the stage itself works on a GPU."""
    return torch.cuda.is_available() and not os.environ.get(DEVICE, "").startswith("cpu")


def _room(node: dict[str, float], n_cpus: int, n_gpus: int) -> int:
    """Return how many workers a node has room for."""
    by_cpu = int(node.get("CPU", 0)) // n_cpus
    return min(by_cpu, int(node.get("GPU", 0)) // n_gpus) if n_gpus else by_cpu


def _number(variable: str, usual: int) -> int:
    text = os.environ.get(variable, "")
    if text and (not text.isdecimal() or int(text) < 1):
        raise ValueError(
            f"the environment variable {variable} must be a whole number from 1, got {text!r}"
        )
    return int(text or usual)
