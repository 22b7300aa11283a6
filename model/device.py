"""Devices: which there are, how to compute the same twice, and how they run out of memory."""

import gc
import os
import re
from contextlib import AbstractContextManager
from typing import Literal

import torch
import torch.utils.deterministic

from model.errors import SettingsInvalid

Precision = Literal["fp32", "bf16", "fp16"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|out of memory|ALLOC_FAILED|unable to find an engine"
)
"""What the allocators of the CPU and of MPS say, and cuBLAS and cuDNN where they have no room to
work in; CUDA's allocator has an exception of its own."""

# cuBLAS needs its workspace fixed to be deterministic, and looks once, at its first product in the
# process, whether or not determinism is asked for by then.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def check_device(device: str, precision: Precision) -> None:
    """Raises SettingsInvalid if this machine has no such device, or it cannot compute so."""
    wanted = torch.device(device)
    if wanted.type == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or (wanted.index or 0) >= count:
            raise SettingsInvalid(
                f"There is no device {device}: PyTorch finds {count} CUDA devices here. Check "
                "nvidia-smi and that PyTorch is a CUDA build, or choose the CPU (SIAN_DEVICE=cpu, "
                "--device cpu)."
            )
        if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise SettingsInvalid(
                "SIAN_PRECISION=bf16: this GPU cannot compute in bfloat16. Set SIAN_PRECISION=fp16."
            )
    elif wanted.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsInvalid(
            f"There is no device {device}: PyTorch finds no Apple GPU here. Choose the CPU "
            "(SIAN_DEVICE=cpu, --device cpu)."
        )


def device_name(device: torch.device) -> str:
    """``cpu``, or which GPU it is, for files of results."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def compute_reproducibly(device: str) -> None:
    """Same shapes, same bytes on CUDA, in this process from now on; nothing to do elsewhere."""
    if torch.device(device).type != "cuda":
        return
    torch.use_deterministic_algorithms(True)
    # Memory need not be filled before it is written: no kernel here reads what it did not write.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False  # it picks kernels by a race
    # TF32 would round to ten bits where fp32 is asked for, in the colours above all.
    # Compilers still ask the older setting, which has no answer while it differs from the newer.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """A context in which convolutions are computed in this precision."""
    dtype = _DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there was too little memory, of the device or the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))


def is_lost(error: BaseException) -> bool:
    """Whether an exception says that the device can do nothing more in this process."""
    return isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)


def release_memory() -> None:
    """Give back what is held but not used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
