"""Runs that are kept in a folder are used again, and only for what they were made for."""

import gc
import json
import shutil
import signal
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from model.errors import ResumeMismatch, RunBusy, RunStopped, RunUnfinished
from training.experiments.figures import write_figures
from training.experiments.identity import NOTE_NAME
from training.experiments.laboratory import Added, Laboratory
from training.experiments.measures import FeatureSpaces
from training.experiments.table1 import real_segnet, table_2, train_all
from training.experiments.table3 import table_3
from training.segmentation.data import Annotated
from training.sitting import LOG_NAME, alone_in
from training.state import STATE_NAME
from training.step import Stepper
from training.trained import RESULT_NAME, finish

Make = Callable[..., Laboratory]


def written(laboratory: Laboratory) -> float:
    return (laboratory.run("pix2pix", 0) / RESULT_NAME).stat().st_mtime_ns


def test_a_finished_run_is_used_again(laboratory: Make) -> None:
    first = laboratory()
    first.train("pix2pix", 0)
    before = written(first)
    assert laboratory().train("pix2pix", 0) == first.run("pix2pix", 0) / RESULT_NAME
    assert written(first) == before


def half_done(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, method: str, *, said: str = "Stopped"
) -> Path:
    """A run that was stopped after its first step."""
    step = Stepper.__call__

    def interrupted(self: Stepper, *args: Any) -> dict[str, torch.Tensor]:
        signal.raise_signal(signal.SIGINT)
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "__call__", interrupted)
        with pytest.raises(RunStopped, match=said):
            laboratory.train(method, 0)
    return laboratory.run(method, 0)


def test_a_state_is_kept_until_its_run_is_finished(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is several times as large as the network, and those of whole tables fill a disk."""
    run = half_done(laboratory(steps=2), monkeypatch, "pix2pix")
    assert (run / STATE_NAME).is_file()
    laboratory(steps=2).train("pix2pix", 0)
    assert not (run / STATE_NAME).exists()
    steps = [json.loads(line)["step"] for line in (run / LOG_NAME).read_text().splitlines()]
    assert steps == [1, 2]
    segnet = real_segnet(laboratory())
    assert segnet.is_file()
    assert not (segnet.parent / STATE_NAME).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"steps": 2}, "steps is 1, now 2"), ({"width": 16}, "network.width is 8, now 16")],
)
def test_a_finished_run_of_other_options_is_refused(
    laboratory: Make, options: dict[str, int], said: str
) -> None:
    first = laboratory()
    first.train("pix2pix", 0)
    for noted in (True, False):  # the network tells its options too
        if not noted:
            (first.run("pix2pix", 0) / NOTE_NAME).unlink()
        with pytest.raises(ResumeMismatch, match=said) as caught:
            laboratory(**options).train("pix2pix", 0)
        assert "another --folder" in str(caught.value)


def test_sians_own_networks_tell_their_options(laboratory: Make) -> None:
    first = laboratory()
    first.train("sian", 0)
    (first.run("sian", 0) / NOTE_NAME).unlink()
    laboratory().train("sian", 0)
    (first.run("sian", 0) / NOTE_NAME).unlink()
    with pytest.raises(ResumeMismatch, match="steps is 1, now 2"):
        laboratory(steps=2).train("sian", 0)


def test_weights_of_sian_without_their_card_are_finished_anew(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a stop between the two files."""
    card = laboratory().run("sian", 0) / "checkpoint.json"
    told = []

    def stopped(*arguments: Any) -> Path:
        finish(*arguments)
        told.append(card.read_text())
        card.unlink()
        raise RunStopped("Stopped.")

    with monkeypatch.context() as patch:
        patch.setattr("training.experiments.laboratory.finish", stopped)
        with pytest.raises(RunStopped):
            laboratory().train("sian", 0)
    result = laboratory().train("sian", 0)
    assert result.with_suffix(".json") == card
    assert json.loads(card.read_text())["sha256"] == json.loads(told[0])["sha256"]


def test_compared_networks_are_rounded_as_sians_are(laboratory: Make) -> None:
    tensors = load_file(laboratory().train("pix2pix", 0))
    statistics = {key for key in tensors if "running_" in key}
    assert statistics
    for key, value in tensors.items():
        if value.is_floating_point():
            assert value.dtype == (torch.float32 if key in statistics else torch.float16), key


def test_who_stops_it_is_told_so_and_not_that_time_is_over(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Stopped at step 1 of 9 of the training of pix2pix"
    half_done(laboratory(steps=9), monkeypatch, "pix2pix", said=said)
    with pytest.raises(RunUnfinished, match="The time is over before the training of spade"):
        laboratory(minutes=0).train("spade", 0)


def test_a_run_tells_which_code_worked_on_it(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by(code: str, device: str, precision: str) -> Laboratory:
        monkeypatch.setattr("training.experiments.identity.running_code", lambda: code)
        monkeypatch.setattr("training.experiments.sitting.device_name", lambda _: device)
        return laboratory(steps=2, precision=precision)

    half_done(by("first", "A GPU", "bf16"), monkeypatch, "pix2pix")
    by("second", "cpu", "fp32").train("pix2pix", 0)
    now = by("third", "another", "bf16")
    now.train("pix2pix", 0)
    wanted = {
        "code": [["first", "second"], []],
        "computed_on": [["A GPU, bf16", "cpu, fp32"], []],
    }
    assert now.facts("pix2pix", [0, 1]) == wanted
    # Nothing of these is left when it is made again.
    shutil.rmtree(now.run("pix2pix", 0) / "samples")
    for path in now.run("pix2pix", 0).iterdir():
        if path.name != NOTE_NAME:
            path.unlink()
    now.train("pix2pix", 0)
    assert now.facts("pix2pix", [0]) == {"code": [["third"]], "computed_on": [["another, bf16"]]}


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_networks_are_trained_in_the_precision_of_the_sitting(
    laboratory: Make, precision: str
) -> None:
    now = laboratory(precision=precision)
    runs = [now.train("pix2pix", 0).parent, real_segnet(now).parent]
    laboratory().train("pix2pix", 0)  # looks at what is finished, and changes nothing
    for run in runs:
        note = json.loads((run / NOTE_NAME).read_text())
        assert note["config"]["precision"] == precision
        assert note["computed_on"] == [f"cpu, {precision}"]


def test_what_a_run_without_a_note_was_made_from_is_not_claimed(
    laboratory: Make, small_data: Path, tmp_path: Path
) -> None:
    now = laboratory()
    now.train("pix2pix", 0)
    (now.run("pix2pix", 0) / NOTE_NAME).unlink()
    for _ in range(2):
        laboratory().train("pix2pix", 0)
        note = json.loads((now.run("pix2pix", 0) / NOTE_NAME).read_text())
        assert (note["training_slides"], note["code"]) == ("not noted", ["not noted"])
        assert note["config"]["steps"] == 1


def test_a_run_of_other_options_is_refused_before_the_first_is_trained(laboratory: Make) -> None:
    laboratory().train("spade", 0)
    now = laboratory(steps=2)
    with pytest.raises(ResumeMismatch, match="spade-s0 was made with other options"):
        train_all(now, ["pix2pix", "spade"])
    assert not now.run("pix2pix", 0).exists()


def test_so_it_is_before_a_table_that_goes_on_from_the_first(
    laboratory: Make, tmp_path: Path
) -> None:
    laboratory().train("spade", 0)
    now, methods = laboratory(steps=2), ["pix2pix", "spade"]
    tables: list[Callable[[], object]] = [
        lambda: table_2(now, FeatureSpaces({}), methods),
        lambda: table_3(now, methods),
        lambda: write_figures(now, methods, tmp_path, command="it"),
    ]
    for table in tables:
        with pytest.raises(ResumeMismatch, match="spade-s0 was made with other options"):
            table()
    assert not now.run("pix2pix", 0).exists()


def test_a_run_that_another_process_trains_is_left_to_it(laboratory: Make) -> None:
    now = laboratory()
    run = now.run("pix2pix", 0)
    run.mkdir(parents=True)
    with alone_in(run), pytest.raises(RunBusy, match="Another process is training in"):
        now.train("pix2pix", 0)
    assert not (run / NOTE_NAME).exists()
    assert now.train("pix2pix", 0).is_file()


def test_a_run_is_left_alone_until_its_networks_are_written(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, written = laboratory(), finish

    def finishing(method: str, run: Path, *others: object) -> Path:
        with pytest.raises(RunBusy), alone_in(run):
            pass
        return written(method, run, *others)  # type: ignore[arg-type]

    monkeypatch.setattr("training.experiments.laboratory.finish", finishing)
    assert now.train("pix2pix", 0).is_file()


def test_a_segnet_that_another_process_trains_is_left_to_it(laboratory: Make) -> None:
    now = laboratory()
    run = now.folder / "segnet-real-augmented-s0"
    with alone_in(run), pytest.raises(RunBusy):
        real_segnet(now)
    assert real_segnet(now).is_file()


def test_one_network_at_a_time_is_kept(laboratory: Make) -> None:
    now = laboratory()
    first = weakref.ref(now.model("pix2pix", 0))
    assert now.model("pix2pix", 0) is first()
    now.model("pix2pix", 1)
    gc.collect()
    assert first() is None


def test_a_run_half_done_with_other_options_is_refused(
    laboratory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = half_done(laboratory(steps=2), monkeypatch, "pix2pix")
    (run / NOTE_NAME).unlink()
    with pytest.raises(ResumeMismatch, match="steps is 2, now 3"):
        laboratory(steps=3).train("pix2pix", 0)


def test_a_run_on_other_slides_is_refused(
    laboratory: Make, small_data: Path, tmp_path: Path
) -> None:
    laboratory().train("pix2pix", 0)
    other = tmp_path / "other"
    shutil.copytree(small_data, other)
    path = other / "train" / "images" / "a-kidney.png"
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    with pytest.raises(ResumeMismatch, match="training_slides"):
        laboratory(data=other).train("pix2pix", 0)


def test_a_segnet_is_of_its_options_and_images(laboratory: Make) -> None:
    now = laboratory()
    real_segnet(now)
    real_segnet(laboratory())
    (now.folder / "segnet-real-augmented-s0" / NOTE_NAME).unlink()
    real_segnet(laboratory())
    with pytest.raises(ResumeMismatch, match="steps is 1, now 2"):
        real_segnet(laboratory(segnet_steps=2))


def test_a_segnet_of_other_synthetic_tiles_is_refused(laboratory: Make) -> None:
    now = laboratory()
    tile = Annotated(np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.int32))
    first, other = (Added(digit * 64, lambda: [tile]) for digit in "01")
    for _ in range(2):
        now.segnet("pix2pix", 0, augment=True, added=first)
    with pytest.raises(ResumeMismatch, match=r"synthetic_tiles is \"00000000\", now \"11111111\""):
        now.segnet("pix2pix", 0, augment=True, added=other)
    (now.folder / "segnet-pix2pix-s0" / NOTE_NAME).unlink()
    with pytest.raises(ResumeMismatch, match='synthetic_tiles is "unknown"'):
        now.segnet("pix2pix", 0, augment=True, added=first)
