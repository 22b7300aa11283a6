"""Two real processes under torchrun against one: the same gradients, weights and style loss."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from model.errors import SettingsInvalid
from training.distributed import Process, start_process, synchronise_batch_norm

SCRIPT = """
import sys
import torch
from pathlib import Path
from torch import nn
from safetensors.torch import save_file
from tests.networks import TINY
from tests.training.fakes import CheapFeatures
from training.config import LossWeights, TrainConfig
from training.step import Stepper
from training.distributed import average_gradients, average_values, broadcast
from training.distributed import end_process, start_process

process = start_process("cpu")
torch.manual_seed(process.rank)  # different weights, until rank 0 hands out its own
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
broadcast(model, process)
torch.manual_seed(99)
data = torch.randn(12, 4)
share = 12 // process.world
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimiser.zero_grad()
    part = data[process.rank * share : (process.rank + 1) * share]
    loss = model(part).square().mean()
    loss.backward()
    average_gradients(model.parameters(), process)
    optimiser.step()
mean = average_values(loss.detach().clone(), process)
state = {k: v.contiguous() for k, v in model.state_dict().items()} | {"loss": mean}

for reduction in ("batch_sum", "sample_mean"):
    config = TrainConfig(
        TINY, 64, 64, bn_px=64, discriminator_width=8, batch_size=4, precision="fp32",
        weights=LossWeights(kld=1.0), kld_reduction=reduction,
    )
    torch.manual_seed(99)
    batch = {
        "layout": torch.rand(4, TINY.condition_channels, 64, 64),
        "image": torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8),
    }
    batch["style"] = batch["image"]
    batch["foreground"] = batch["style_foreground"] = torch.rand(4, 64, 64) < 0.3
    share = 4 // process.world
    ours = slice(process.rank * share, (process.rank + 1) * share)
    terms = Stepper(config, CheapFeatures(), process)({k: v[ours] for k, v in batch.items()}, 0)
    state[reduction] = average_values(terms["kld"], process)
save_file(state, Path(sys.argv[1]) / f"{process.world}-{process.rank}.safetensors")
end_process(process)
"""


def test_two_processes_equal_one(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    for count in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone",
             "--nproc-per-node", count, str(script), str(tmp_path)],
            cwd=root, timeout=300, capture_output=True, text=True,
            env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    alone = load_file(tmp_path / "1-0.safetensors")
    for rank in (0, 1):
        shared = load_file(tmp_path / f"2-{rank}.safetensors")
        for key, value in alone.items():
            torch.testing.assert_close(shared[key], value, rtol=1e-5, atol=1e-6)


def test_batch_norm_is_synchronised_on_several_gpus_alone() -> None:
    """The layers are exchanged without a GPU; what they then do needs one."""

    def layers(process: Process) -> set[type]:
        network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)))
        return {type(layer) for layer in synchronise_batch_norm(network, process).modules()}

    assert nn.SyncBatchNorm in layers(Process(0, 2, torch.device("cuda")))
    assert nn.BatchNorm2d not in layers(Process(0, 2, torch.device("cuda")))
    assert nn.SyncBatchNorm not in layers(Process(0, 1, torch.device("cuda")))
    assert nn.SyncBatchNorm not in layers(Process(0, 2, torch.device("cpu")))


def test_an_older_torch_is_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the CPU too, where it would do, so that a rehearsal finds it: training runs without an
    installation, which would ask for 2.9."""
    assert start_process("cpu").device.type == "cpu"
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace(allow_tf32=False))
    with pytest.raises(SettingsInvalid, match=r"too old .* Install 2\.9 or later"):
        start_process("cpu")
    assert '"torch>=2.9"' in Path("pyproject.toml").read_text("utf-8")
