"""Who multiplies matrices, and that the products stay exact."""

from collections.abc import Iterator

import pytest
import torch

from neuron_atlas.model import kernels

AMD = {"cpu_name": "AMD EPYC", "amx_bf16": False}
INTEL = {"cpu_name": "Intel Xeon", "amx_bf16": True}


@pytest.fixture(autouse=True)
def _default() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def error(product: torch.Tensor, exact: torch.Tensor) -> float:
    return float((product.double() - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 640, 2048), (300, 2048, 640)])
def test_products_are_those_of_float32_on_this_machine(rows: int, inner: int, columns: int) -> None:
    kernels.choose_matrix_products()
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, inner, generator=generator) for n in (rows, columns))
    exact = a.double() @ b.double().T
    assert error(a @ b.T, exact) < 1e-5
    assert error(a.bfloat16().float() @ b.T, exact) > 1e-4  # what rounding would have cost


@pytest.mark.parametrize(
    ("cpu", "gpu", "expected"),
    [
        (AMD, False, "medium"),
        (AMD, True, "highest"),  # would round on the GPU
        (AMD | {"amx_bf16": True}, False, "highest"),  # would round in AMX
        (INTEL, False, "highest"),
        ({}, False, "highest"),
    ],
)
def test_only_a_processor_that_does_not_round_is_given_leave_to(
    cpu: dict[str, object], gpu: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: cpu)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    kernels.choose_matrix_products()
    assert torch.get_float32_matmul_precision() == expected
