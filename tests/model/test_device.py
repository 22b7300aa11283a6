import subprocess
import sys

import pytest
import torch

from model.device import check_device, computing_in, is_lost, is_out_of_memory, release_memory
from model.errors import SettingsInvalid


def too_much() -> Exception:
    """What the allocator of the CPU says."""
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    return raised.value


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_tells_a_lack_of_memory_from_other_errors(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) is is_memory
    assert not is_lost(error)


def test_knows_what_the_cpus_allocator_says() -> None:
    assert is_out_of_memory(too_much())


def test_an_error_of_the_accelerator_is_the_end_of_it() -> None:
    error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert is_lost(error)
    assert not is_out_of_memory(error)


def test_releasing_memory_is_harmless() -> None:
    release_memory()


def test_the_cpu_is_always_there() -> None:
    check_device("cpu", "fp32")


def test_a_gpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    check_device("cuda", "fp16")
    with pytest.raises(SettingsInvalid, match="SIAN_PRECISION=fp16"):
        check_device("cuda", "bf16")
    with pytest.raises(SettingsInvalid, match="finds 1 CUDA"):
        check_device("cuda:1", "fp16")


def test_precision_is_that_of_the_convolutions() -> None:
    kernel, image = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 8, 8)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with computing_in(precision, torch.device("cpu")):  # type: ignore[arg-type]
            assert torch.conv2d(image, kernel).dtype == dtype


def test_cuda_is_told_to_be_deterministic() -> None:
    """In a process of its own, since it holds for the whole process."""
    code = """if True:
        import os, torch
        from model.device import compute_reproducibly
        # cuBLAS reads it once, and networks may have been trained in the process before.
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
        compute_reproducibly("cpu")
        assert not torch.are_deterministic_algorithms_enabled()
        compute_reproducibly("cuda:0")
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert torch.backends.cudnn.allow_tf32 is False
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
