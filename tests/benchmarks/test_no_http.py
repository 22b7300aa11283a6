"""Jobs through the engine without HTTP, with a network that takes no time."""

from pathlib import Path

import pytest

from benchmarks.common.no_http import running
from tests.fakes import FakeSynthesizer, small_checkpoint


def broken(made: int) -> None:
    raise ValueError("broken")


def test_every_job_is_timed(tmp_path: Path) -> None:
    synthesizer = FakeSynthesizer(small_checkpoint(tmp_path))
    with running(synthesizer) as service:
        synthesizer.passes.clear()  # those of the thumbnails
        assert all(took_s > 0 for took_s in service.synthesize(range(5), at_a_time=2))
    assert sorted(seed for seeds in synthesizer.passes for seed in seeds) == list(range(5))


def test_a_job_that_fails_fails_the_measurement(tmp_path: Path) -> None:
    synthesizer = FakeSynthesizer(small_checkpoint(tmp_path))
    with running(synthesizer) as service:
        synthesizer.before = broken
        with pytest.raises(RuntimeError, match="a job failed"):
            service.synthesize(range(2), at_a_time=2)


def test_a_network_that_cannot_be_loaded_is_not_waited_for(tmp_path: Path) -> None:
    synthesizer = FakeSynthesizer(small_checkpoint(tmp_path), broken)
    with pytest.raises(RuntimeError, match=r"does not start: .*broken"), running(synthesizer):
        pass
