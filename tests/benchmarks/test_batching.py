"""The rows of the engine's benchmark, of made-up measurements and of a small network."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import batching
from benchmarks.batching import Took, mean_batch, paint_in_batches, whole_batches
from benchmarks.common import no_http
from tests.fakes import mask_png, small_checkpoint


class Painter:
    """Keeps the seeds of each batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def prepare(self, labels: Any, style: Any, *, seed: int) -> int:
        return seed

    def paint(self, inputs: list[int]) -> None:
        self.batches.append(inputs)


def test_as_many_tiles_are_painted_as_are_counted() -> None:
    painter = Painter()
    paint_in_batches(painter, None, None, 24)
    assert painter.batches == [list(range(8)), list(range(8, 16)), list(range(16, 24))]


def test_tiles_that_fill_no_whole_batch_are_refused() -> None:
    assert whole_batches(32) == 32
    painter = Painter()
    with pytest.raises(typer.BadParameter, match="no multiple of 8"):
        paint_in_batches(painter, None, None, 33)
    assert painter.batches == []


def test_one_at_a_time() -> None:
    bare = [Took(1.0, 1.5), Took(2.0, 2.5), Took(4.0, 4.5)]
    engine = [Took(1.5, 1.5), Took(2.2, 2.5), Took(4.0, 4.5)]
    row = batching._one_at_a_time_row(bare, engine)
    assert row["tiles"] == 3
    assert row["bare_s"]["median"] == 2.0
    assert row["engine_s"]["median"] == 2.2
    assert row["bare_cpu_s"] == row["engine_cpu_s"] == {"median": 2.5, "q1": 1.5, "q3": 4.5}
    assert row["ratio_of_p50"] == 1.1
    assert row["ratio_in_turns"] == {"median": 1.1, "q1": 1.0, "q3": 1.5}


def test_overhead_is_of_one_round() -> None:
    row = batching._overhead_row([0.5, 0.1, 0.1], [0.75, 0.2, 0.6])
    assert row["tiles"] == 3
    assert row["overhead_s"] == {"median": 0.25, "q1": 0.1, "q3": 0.5}


def test_throughput() -> None:
    rates = {"bare": [2.0, 4.0], "engine": [3.0, 3.0], "batched": [6.0, 6.0]}
    row = batching._throughput_row(rates, 32)
    assert (row["tiles"], row["rounds"]) == (32, 2)
    assert (row["bare"]["median"], row["engine"]["median"]) == (3.0, 3.0)
    assert row["engine_to_bare"]["median"] == 1.125  # of 1.5 and 0.75, not of the medians
    assert row["engine_to_batched"] == {"median": 0.5, "q1": 0.5, "q3": 0.5}
    assert "engine_to_engine" not in row


def test_the_tail_of_64_jobs_is_their_largest_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    class Service:
        def synthesize(self, seeds: range, *, at_a_time: int) -> list[float]:
            assert at_a_time == len(seeds)
            return [1.0 + seed for seed in seeds]

    counts = iter([(10.0, 50.0), (19.0, 114.0)])
    monkeypatch.setattr(batching, "batches", lambda: next(counts))
    assert mean_batch(Service(), 64) == {
        "what": "64 jobs of one tile at once",
        "mean_batch": 7.11,
        "p50_s": 32.5,
        "max_s": 64.0,
    }


def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(batching.main)
    return app


def test_all_is_measured_and_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(batching, "CHECKPOINT", small_checkpoint(tmp_path))
    for module in (batching, no_http):
        monkeypatch.setattr(module, "label_mask", lambda side: mask_png(64))
    out = tmp_path / "batching.json"
    options = ["--singles=2", "--rounds=2", "--tiles=16"]
    outcome = CliRunner().invoke(command(), [*options, f"--out={out}"])
    assert outcome.exit_code == 0, outcome.output
    written = json.loads(out.read_text())
    assert written["command"] == " ".join(["python -m benchmarks.batching", *options])
    assert len(written["rows"]) == 8
    throughput = written["rows"][2]
    assert (throughput["tiles"], throughput["rounds"]) == (16, 2)
    assert throughput["engine_to_side_by_side"]["median"] > 0


def test_the_command_refuses_half_a_batch(tmp_path: Path) -> None:
    out = tmp_path / "batching.json"
    outcome = CliRunner().invoke(command(), ["--tiles=20", f"--out={out}"])
    assert outcome.exit_code == 2
    assert "20 is no multiple of 8" in outcome.stderr
    assert not out.exists()
