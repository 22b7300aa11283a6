import pytest

from tests.worker.benches import Bench, FakeDevice


@pytest.fixture
def bench():
    made = []

    def start(device: FakeDevice | None = None, **options: float) -> Bench:
        bench = Bench(device or FakeDevice(), **options)
        made.append(bench)
        bench.batcher.start(lambda: None)
        return bench

    yield start
    for bench in made:
        bench.device.go_on.set()
        bench.batcher.stop()
