"""A worker whose weights cannot be loaded says why to whoever runs it, not to clients."""

import json

from safetensors import safe_open
from safetensors.numpy import save_file

from model.checkpoint import sha256_of
from tests.processes import RELEASE

CONFIGURATION = 78


def without_a_weight(folder):
    """A checkpoint that is what its card says, but lacks a weight: only loading shows it."""
    checkpoint = folder / "lacking.safetensors"
    with safe_open(RELEASE, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    del tensors[next(name for name in tensors if name.startswith("generator."))]
    save_file(tensors, checkpoint, metadata)
    card = json.loads(RELEASE.with_suffix(".json").read_text())
    checkpoint.with_suffix(".json").write_text(
        json.dumps({**card, "sha256": sha256_of(checkpoint)})
    )
    return checkpoint


def test_readiness_names_no_path(front, work, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    checkpoint = without_a_weight(folder)
    front = front(checkpoint=checkpoint)
    front.wait_for("listening")
    worker = work(checkpoint=checkpoint)
    reasons = set()
    while worker.is_running:
        answer = front.client.get("/readyz")
        assert answer.status_code == 503
        reasons.add(answer.json()["detail"])
    assert worker.wait() == CONFIGURATION
    assert str(checkpoint) in worker.log[-1]
    assert any("being loaded" in reason for reason in reasons), reasons
    for reason in reasons:
        assert "lacking" not in reason
        assert str(tmp_path) not in reason
