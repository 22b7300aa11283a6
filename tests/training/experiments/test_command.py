"""The command, where it refuses before anything is made."""

import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.errors import ParameterInvalid, RunBusy, RunStopped, RunUnfinished, SianError
from tests.processes import RELEASE
from training import experiment
from training.alone import run_alone
from training.experiment import _command, app
from training.experiments.laboratory import Laboratory
from training.experiments.rows import Row
from training.experiments.scale import Scale

ARGUMENTS = ["table1", "--data=data", "--vgg=vgg", "--inception=inception", "--device=cpu"]


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    options = [f"--folder={tmp_path / 'runs'}", f"--out={tmp_path / 'out'}"]
    done = CliRunner().invoke(app, [*ARGUMENTS, *options])
    assert isinstance(done.exception, ParameterInvalid)
    assert "without torchrun" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["table1", "table2"])
def test_a_table_of_distances_needs_their_features(
    name: str, small_data: Path, tmp_path: Path
) -> None:
    options = [f"--data={small_data}", "--vgg=vgg", f"--folder={tmp_path / 'runs'}"]
    done = CliRunner().invoke(app, [name, *options, "--device=cpu"])
    assert isinstance(done.exception, ParameterInvalid)
    assert "--inception" in str(done.exception)


@pytest.mark.parametrize("options", [[], [f"--checkpoint={RELEASE}"]])
def test_methods_without_a_name_are_not_all(
    options: list[str], small_data: Path, tmp_path: Path
) -> None:
    named = [f"--data={small_data}", "--vgg=vgg", f"--folder={tmp_path / 'runs'}", "--methods="]
    done = CliRunner().invoke(app, ["table1", *named, "--device=cpu", *options])
    assert isinstance(done.exception, ParameterInvalid)
    assert "There is no method ''" in str(done.exception)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunUnfinished("Say."), 75),
        (RunBusy("Say."), 75),
        (RunStopped("Say."), 130),
        (ParameterInvalid("Say."), 1),
    ],
)
def test_alone_it_ends_as_sian_does_when_it_is_to_be_run_again(
    error: SianError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(prog_name: str) -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_alone(command, "name")  # type: ignore[arg-type]
    assert caught.value.code == code
    assert capsys.readouterr().err == "error: Say.\n"


def test_sigterm_between_two_trainings_ends_in_130(
    monkeypatch: pytest.MonkeyPatch, small_data: Path, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "training.experiment.table_3", lambda *_: signal.raise_signal(signal.SIGTERM)
    )
    done = CliRunner().invoke(
        app, ["table3", f"--data={small_data}", f"--vgg={tmp_path}", "--scale=smoke"]
    )
    assert done.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_page_tells_the_command_as_it_is_typed() -> None:
    told = _command("table1", scale="cpu", methods=None, segnet_steps=9)
    assert told == "sian experiment table1 --scale=cpu --segnet-steps=9"


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_precision_reaches_the_sitting_which_says_where_it_is(
    precision: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def table(laboratory: Laboratory, *_: object) -> None:
        assert laboratory.sitting.precision == precision
        raise ParameterInvalid("Far enough.")

    monkeypatch.setattr(experiment, "table_3", table)
    named = [f"--data={small_data}", "--vgg=vgg", f"--folder={tmp_path}", "--device=cpu"]
    done = CliRunner().invoke(app, ["table3", *named, "--scale=smoke", f"--precision={precision}"])
    assert "Far enough" in str(done.exception)
    assert f"Networks are trained on: cpu, {precision}." in done.output


def test_every_option_reaches_the_scale(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[Scale] = []

    def laboratory(
        slides: object, vgg: object, folder: object, budget: Scale, *_: object, **__: object
    ) -> None:
        budgets.append(budget)
        raise ParameterInvalid("Far enough.")

    monkeypatch.setattr(experiment, "Laboratory", laboratory)
    changes = {
        "steps": 3, "width": 16, "crop": 64, "batch": 3, "tiles": 5, "synthetic": 9,
        "segnet-steps": 11,
    }  # fmt: skip
    options = [f"--{name}={value}" for name, value in changes.items()]
    named = [f"--data={small_data}", "--vgg=vgg", f"--folder={tmp_path}", "--device=cpu"]
    done = CliRunner().invoke(app, ["table3", *named, "--scale=smoke", *options])
    assert "Far enough" in str(done.exception)
    assert budgets[0].note == (
        "changed: steps 3, width 16, crop 64, batch 3, tiles 5, synthetic 9, segnet-steps 11."
    )


def test_a_log_has_the_page_as_it_is(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("real", "MoNuSeg training set", (0,), [{"dq": 0.5, "sq": 0.7, "pq": 0.35}], {})
    monkeypatch.setattr(experiment, "table_3", lambda *_: [row])
    named = [f"--data={small_data}", "--vgg=vgg", f"--folder={tmp_path}", f"--out={tmp_path}"]
    done = CliRunner().invoke(app, ["table3", *named, "--device=cpu", "--scale=smoke"])
    assert done.exit_code == 0, done.output
    (page,) = tmp_path.glob("table3-*.md")
    assert page.read_text("utf-8") in done.output
    assert max(map(len, done.output.splitlines())) > 80
