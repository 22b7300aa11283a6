"""Two real processes under torchrun against one: the same gradients, the same weights."""

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

SCRIPT = """
import sys
import torch
from pathlib import Path
from torch import nn
from safetensors.torch import save_file
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
