"""A worker whose weights cannot be loaded says why to whoever runs it, not to clients."""

from tests.scenarios import checkpoints
from tests.waiting import observed

CONFIGURATION = 78


def test_readiness_names_no_path(front, work, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    checkpoint = checkpoints.copy(folder, "lacking")
    checkpoints.take_a_weight(checkpoint)
    front = front(checkpoint=checkpoint)
    front.wait_for("listening")
    worker = work(checkpoint=checkpoint)
    reasons = set()

    def has_ended():
        answer = front.client.get("/readyz")
        assert answer.status_code == 503
        reasons.add(answer.json()["detail"])
        return not worker.is_running

    observed(has_ended)
    assert worker.wait() == CONFIGURATION
    assert str(checkpoint) in worker.log[-1]
    assert any("being loaded" in reason for reason in reasons), reasons
    for reason in reasons:
        assert "lacking" not in reason
        assert str(tmp_path) not in reason
