"""Which library multiplies float32 matrices on a CPU: the fastest one that does not round them."""

import torch


def choose() -> None:
    """Give the process's float32 products to oneDNN on AMD processors; leave others as they are.

    torch gives them to MKL, which does without AVX-512 on such a processor, and to oneDNN only
    where "medium" precision will do. But it takes AMX for oneDNN to make use of that and round to
    bfloat16; without it the products are as exact as MKL's. Where there is a GPU nothing is
    changed, because its products would be rounded.
    """
    cpu = torch.cpu.get_capabilities()
    amd = "AMD" in str(cpu.get("cpu_name"))
    if amd and not cpu.get("amx_bf16") and not torch.cuda.is_available():
        torch.set_float32_matmul_precision("medium")
