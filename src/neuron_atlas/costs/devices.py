"""What devices can do: their peak, their memory, and the share of the peak that work achieves."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.passes import Work

GIB = float(1 << 30)
FREE = 0.92  # of a device's memory that a model and its batches may take


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        name: What it is called.
        peak: FLOP/s of large dense matrix products in the precision that it is used in.
        memory: Bytes.
        number_bytes: Bytes of a weight in that precision.
        accelerator: Whether it is apart from the host and its memory.
        start: Seconds of a stage's start and small tables; Python and its packages are loaded once
            where stages are forked from one process, which an accelerator does not allow.
        body: Share of the peak that passes over prompts achieve.
        rows: The same of rows from some layer on, forward and back.
        head: The same of sums over the vocabulary, whose exponentials and choice of likely tokens
            are no products.
        compared: Pairs of values per second that the host compares when neurons are ranked.
        source: Where the figures come from.
    """

    name: str
    peak: Amount
    memory: Amount
    number_bytes: int
    accelerator: bool
    start: Amount
    body: Amount
    rows: Amount
    head: Amount
    compared: Amount
    source: str

    def seconds(self, work: Work) -> Amount:
        """Return how long one device takes for some work."""
        parts = ((work.body, self.body), (work.rows, self.rows), (work.head, self.head))
        products = sum(flops / (self.peak * share) for flops, share in parts)
        return products + work.compared / self.compared


DENSE = "the maker's peak of dense bfloat16; the shares of it are what we aim at, not measured"
LAPTOP = "8 cores with AVX2, float32; its peak is assumed, the shares of it are those of runs"


def _accelerator(name: str, peak: Amount, gib: int) -> Device:
    return Device(
        name=name,
        peak=peak,
        memory=gib * GIB,
        number_bytes=2,
        accelerator=True,
        start=6.0,
        body=0.45,
        rows=0.35,
        head=0.45,
        compared=8e10,
        source=DENSE,
    )


DEVICES: Mapping[str, Device] = {
    one.name: one
    for one in (
        Device(
            name="laptop",
            peak=4e11,
            memory=16 * GIB,
            number_bytes=4,
            accelerator=False,
            start=1.5,
            body=0.5,
            rows=0.5,
            head=0.17,
            compared=2e10,
            source=LAPTOP,
        ),
        _accelerator("rtx4090", 1.65e14, 24),
        _accelerator("l4", 1.21e14, 24),
        _accelerator("a100", 3.12e14, 80),
        _accelerator("h100", 9.89e14, 80),
        _accelerator("h200", 9.89e14, 141),
    )
}


def find(name: str) -> Device:
    """Return the device of a name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if name not in DEVICES:
        raise ValueError(f"expected a device of {', '.join(DEVICES)}, got {name!r}")
    return DEVICES[name]


def measured(device: Device, *, seconds: Amount = 1.0) -> Device:
    """Return the device with the peak of this machine's, from products of some seconds.

    On an accelerator the products are in bfloat16, else in float32, by the kernels that the stages
    choose. The host's comparisons are measured too.

    Raises:
        ValueError: it is an accelerator, and this machine has none.
    """
    import numpy as np
    import torch

    from neuron_atlas.model import kernels

    if device.accelerator and not torch.cuda.is_available():
        raise ValueError(
            f"{device.name} cannot be measured: torch finds no CUDA device on this machine; leave "
            "out --measure, or measure the laptop"
        )
    place = "cuda" if device.accelerator else "cpu"
    kind = torch.bfloat16 if device.accelerator else torch.float32
    size = 8192 if device.accelerator else 2048
    a, b = (torch.ones(size, size, dtype=kind, device=place) for _ in range(2))

    def product() -> None:
        torch.mm(a, b)[0, 0].item()

    values = np.ones((512, 4096), dtype=np.float32)
    compared = _rate(lambda: np.less_equal(values, values[0]), values.size, seconds / 4)
    precision = torch.get_float32_matmul_precision()
    try:
        kernels.choose_matrix_products()
        peak = _rate(product, 2.0 * size**3, seconds)
    finally:
        torch.set_float32_matmul_precision(precision)
    cores = torch.get_num_threads()
    return replace(device, peak=peak, compared=compared * cores, source="measured on this machine")


def _rate(run: Callable[[], object], work: Amount, seconds: Amount) -> Amount:
    """Return how much work per second is done by running something for some seconds."""
    run()
    started, times = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < seconds or not times:
        run()
        times += 1
    return times * work / passed
