"""Several processes, one run: what torchrun sets up, and gradient averaging.

A GAN step runs three networks with two optimisers and partial backward passes, which
DistributedDataParallel's hooks make hard to read. Averaging the gradients after each backward
pass is the same arithmetic, in one visible place.

It is also that of one process with the whole batch, for a loss that is a mean over its samples. A
loss that is a sum over them is multiplied by the number of processes (``losses.kl_divergence``).
What a loss divides by, if it is measured in the batch, is measured in each process' share: the
activations of VGG19, the contours of Sharp-GAN, the class weights of SegNet and of the
discriminator of pixel classes.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from model.device import check_device
from model.errors import SettingsInvalid
from model.pixels import Module


@dataclass(frozen=True)
class Process:
    """This process among ``world`` equal ones; rank 0 logs and saves."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0


def processes() -> int:
    """How many torchrun started, this one included; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """How many of them share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def start_process(device: str) -> Process:
    """Join the group torchrun describes in the environment, or be alone without it.

    device: ``auto``, ``cpu`` or ``cuda``. Under torchrun each process takes the GPU
    of its local rank. Raises SettingsInvalid for ``cuda`` where there is none, and for a PyTorch
    that is too old.
    """
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # which training sets
        raise SettingsInvalid(
            f"PyTorch {torch.__version__} is too old to train with. Install 2.9 or later."
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device, "fp32")
    world = processes()
    if world == 1:
        return Process(0, 1, torch.device(device))
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    return Process(dist.get_rank(), world, torch.device(device))


def end_process(process: Process) -> None:
    """Leave the group together: one that left early would fail the others' last message."""
    if process.world > 1:
        dist.barrier()
        dist.destroy_process_group()


def synchronise_batch_norm(module: Module, process: Process) -> Module:
    """SyncBatchNorm where it exists (CUDA); elsewhere each process keeps its own statistics."""
    if process.world > 1 and process.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # replaces the layers inside
    return module


def broadcast(module: nn.Module, process: Process) -> None:
    """Give every process rank 0's parameters and buffers."""
    if process.world > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.data, 0)


def average_gradients(parameters: Iterable[nn.Parameter], process: Process) -> None:
    """Mean of the gradients over the processes, as one flat message."""
    if process.world == 1:
        return
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch._utils._flatten_dense_tensors(grads)
    dist.all_reduce(flat)
    flat /= process.world
    for grad, mean in zip(grads, torch._utils._unflatten_dense_tensors(flat, grads), strict=True):
        grad.copy_(mean)


def any_process(flag: bool, process: Process) -> bool:
    """Whether any process raised the flag; the same answer in all of them."""
    if process.world == 1:
        return flag
    raised = torch.tensor(float(flag))  # on the CPU: to read it, nobody waits for a GPU
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised.item())


def average_values(values: torch.Tensor, process: Process) -> torch.Tensor:
    """Mean of a small tensor over the processes, for the log."""
    if process.world > 1:
        dist.all_reduce(values)
        values = values / process.world
    return values
