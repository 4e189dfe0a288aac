"""From work and space to hours, devices and what does not fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from neuron_atlas.costs import stages
from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.devices import FREE, GIB, Device
from neuron_atlas.costs.passes import Passes, Work
from neuron_atlas.costs.settings import Settings
from neuron_atlas.costs.space import Space, space

LIBRARIES = 5e8  # bytes of the host's memory that Python and its libraries take
READ = 2e9  # bytes of weights per second that are read from disk


@dataclass(frozen=True)
class StageCost:
    """What one stage costs.

    Attributes:
        stage: Its name.
        work: What it computes.
        space: What it takes.
        seconds: How long it takes on the devices.
        device_hours: Hours of all devices that hold the model meanwhile, together.
    """

    stage: str
    work: Work
    space: Space
    seconds: Amount
    device_hours: Amount


@dataclass(frozen=True)
class Estimate:
    """What a run costs on some devices.

    Attributes:
        stages: By stage, in their order.
        weights: Bytes of the model's weights.
        needed: Devices over which the model has to be laid.
        copies: Copies of the model that work side by side.
        device: The device.
        n_devices: How many there are.
        host: Bytes of the host's memory that the run needs at its largest.
        alone: The same of stages that load no model.
        on_device: Bytes of one device's memory at its largest; 0 where host and device are one.
        disk: Bytes on disk of all stages and the model.
    """

    stages: tuple[StageCost, ...]
    weights: Amount
    needed: int
    copies: int
    device: Device
    n_devices: int
    host: Amount
    alone: Amount
    on_device: Amount
    disk: Amount

    @property
    def seconds(self) -> Amount:
        """How long all stages take, one after another."""
        return sum(one.seconds for one in self.stages)

    @property
    def device_hours(self) -> Amount:
        """Hours of all devices together."""
        return sum(one.device_hours for one in self.stages)

    @property
    def fits(self) -> bool:
        """Whether the devices hold the model with its batches, and the host the other stages."""
        return self.needed <= self.n_devices and not self._without_model_too_large

    @property
    def _without_model_too_large(self) -> bool:
        """Whether a stage without a model needs more than the device that is also the host."""
        return not self.device.accelerator and self.alone > FREE * self.device.memory

    @property
    def verdict(self) -> str:
        """Say in words whether it fits, and what to do if not."""
        memory = f"{self.device.memory / GIB:.0f} GiB"
        if self.fits and self.needed == 1:
            return f"fits in {memory}"
        if self.fits:
            return f"does not fit in {memory}: needs device_map over {self.needed} of the devices"
        if self._without_model_too_large:
            return (
                f"does not fit in {memory}: needs a larger machine; a stage that loads no model "
                f"takes {self.alone / GIB:.0f} GiB"
            )
        if not self.device.accelerator:
            return f"does not fit in {memory}: needs a larger machine, or device_map with disk"
        return (
            f"does not fit in {self.n_devices} x {memory}: needs device_map over {self.needed} of "
            "the devices, or over device, host and disk, which is far slower than is said here"
        )


def estimate(given: Passes, how: Settings, device: Device, *, n_devices: int = 1) -> Estimate:
    """Return what a run costs.

    A model that one device holds is copied to each, and parts of a stage go side by side; in a
    model that is laid over several, one of them works at a time. Stages run one after another.

    Raises:
        ValueError: there is no device.
    """
    if n_devices < 1:
        raise ValueError(f"expected at least one device, got {n_devices}")
    weights = float(given.shape.parameters * device.number_bytes)
    taken = {
        name: space(name, given, how, number_bytes=device.number_bytes) for name in stages.WORK
    }
    alone = LIBRARIES + max(taken[name].host for name in stages.WITHOUT_MODEL)
    asking = [one for name, one in taken.items() if name not in stages.WITHOUT_MODEL]
    beside = _beside(asking, device)
    free = FREE * device.memory
    needed = max(1, ceil(weights / max(free - beside, free / 8)))
    copies = max(1, n_devices // needed)
    work = stages.work(given, how)
    costs = tuple(
        _stage(name, work[name], taken[name], given, device, copies, needed, weights)
        for name in stages.WORK
    )
    own = LIBRARIES + max(one.host for one in asking) if device.accelerator else beside + weights
    on_device = weights / needed + beside if device.accelerator else 0.0
    disk = weights + sum(one.disk for one in taken.values())
    host = max(own, alone)
    return Estimate(costs, weights, needed, copies, device, n_devices, host, alone, on_device, disk)


def _beside(taken: Iterable[Space], device: Device) -> Amount:
    """Return the bytes of the device's memory that stages take next to the weights, at most."""
    if device.accelerator:
        return max(one.device for one in taken)
    return LIBRARIES + max(one.host + one.device for one in taken)


def _stage(
    name: str,
    work: Work,
    space: Space,
    given: Passes,
    device: Device,
    copies: int,
    needed: int,
    weights: Amount,
) -> StageCost:
    cells = given.size.languages if name in stages.PER_LANGUAGE else 1
    with_model = name not in stages.WITHOUT_MODEL
    ready = cells * (device.start + (weights / READ if with_model else 0.0))
    busy = device.seconds(work) / (copies if with_model else 1)
    held = copies * needed if with_model and device.accelerator else int(with_model)
    seconds = ready + busy
    return StageCost(name, work, space, seconds, seconds * held / 3600)


def as_row(cost: StageCost) -> Mapping[str, Amount | str]:
    """Return a stage's cost ready for JSON."""
    return {
        "stage": cost.stage,
        "flops": cost.work.flops,
        "compared": cost.work.compared,
        "disk_bytes": cost.space.disk,
        "host_bytes": cost.space.host,
        "device_bytes": cost.space.device,
        "seconds": cost.seconds,
        "device_hours": cost.device_hours,
    }
