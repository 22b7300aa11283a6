"""The command that a result file names."""

import shlex
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.common.command import recorded_command


def recorded(*arguments: str) -> str:
    """What is recorded of a benchmark with an option of each kind."""
    app = typer.Typer()
    commands = []

    @app.command()
    def main(
        context: typer.Context,
        weights: Annotated[Path | None, typer.Option()] = None,
        scale: Annotated[str, typer.Option()] = "cpu",
        batch: Annotated[int | None, typer.Option(min=1)] = None,
        minutes: Annotated[float, typer.Option()] = 30.0,
        painting: Annotated[bool, typer.Option()] = True,
        compiled: Annotated[bool, typer.Option("--compiled")] = False,
        matmul_side: Annotated[int, typer.Option()] = 8192,
        out: Annotated[Path, typer.Option()] = Path("out.json"),
    ) -> None:
        commands.append(recorded_command("benchmarks.some", context))

    outcome = CliRunner().invoke(app, list(arguments))
    assert outcome.exit_code == 0, outcome.output
    return commands[0]


@pytest.mark.parametrize("arguments", [(), ("--scale", "cpu", "--minutes", "30", "--painting")])
def test_defaults_are_not_told(arguments: tuple[str, ...]) -> None:
    assert recorded(*arguments) == "python -m benchmarks.some"


def test_every_other_option_is_told_in_the_order_of_the_help() -> None:
    options = ["--scale=a b", "--batch=2", "--minutes=0.5", "--no-painting", "--compiled"]
    given = [*options, "--matmul-side=512"]
    assert shlex.split(recorded(*reversed(given))) == ["python", "-m", "benchmarks.some", *given]


def test_the_command_run_again_records_itself() -> None:
    first = recorded("--batch", "2", "--no-painting", "--scale", "a 'b'")
    assert recorded(*shlex.split(first)[3:]) == first


def test_paths_are_told_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    weights = tmp_path / "weights" / "vgg.safetensors"
    command = recorded("--weights", str(weights), "--out", str(tmp_path / "elsewhere.json"))
    assert command == "python -m benchmarks.some --weights=../weights/vgg.safetensors"
