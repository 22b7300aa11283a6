"""``sian evaluate``: its table, its files, its exit codes."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import training.evaluate as command
from model.errors import DataInvalid, ParameterInvalid
from tests.training.painted import Painter, write_slides
from training.alone import run_alone
from training.data.monuseg import read_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slides(tmp_path_factory.mktemp("slides"))


class TestCommand:
    @pytest.fixture(autouse=True)
    def _painter(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        painter = Painter()
        painter.card = SimpleNamespace(sha256="0" * 64, training={"slides": []})  # type: ignore[attr-defined]
        loader = SimpleNamespace(load=lambda checkpoint, **_: painter)
        monkeypatch.setattr(command, "Synthesizer", loader)
        monkeypatch.chdir(tmp_path)

    def run(self, folder: Path, *options: str) -> tuple[int, str]:
        arguments = ["--checkpoint", "runs/tiny.safetensors", "--data", str(folder), *options]
        result = CliRunner().invoke(command.app, arguments, env={"COLUMNS": "200"})
        return result.exit_code, result.output

    def test_table_file_and_sheet(self, folder: Path, tmp_path: Path) -> None:
        code, output = self.run(folder, "--grid", "sheets/grid.png")
        assert code == 0
        assert "12 of 12 test tiles" in output
        assert "tile to its style" in output
        assert "Medians, real in brackets" in output
        assert "pass --inception" in output
        written = json.loads((tmp_path / "benchmarks/results/evaluate-tiny.json").read_text())
        assert {"command", "machine", "date", "code_version", "rows"} <= set(written)
        assert written["command"].startswith("sian evaluate --checkpoint=runs/tiny.safetensors")
        assert (written["device"], written["torch"]) == ("cpu", torch.__version__)
        assert written["tiles"] == 12
        assert written["rows"][0]["measure"] == "haematoxylin_auc"
        assert written["rows"][0]["pass"] is True
        sheet = np.asarray(Image.open(tmp_path / "sheets/grid.png"))
        # Six pictures a line, a line each for three slides.
        assert sheet.shape == (20 + 3 * 260 - 4, 6 * 260 - 4, 3)
        slide = read_dataset(folder)[1]
        np.testing.assert_array_equal(sheet[20:276, 260:516], slide.image()[248:504, :256])

    def test_a_narrow_terminal_gets_the_numbers_whole(self, folder: Path) -> None:
        arguments = ["--checkpoint", "runs/tiny.safetensors", "--data", str(folder)]
        result = CliRunner().invoke(command.app, arguments, env={"COLUMNS": "80"})
        assert "Lab distance, foreign over own" in result.output
        assert "0.75 to 1.3" in result.output
        assert "tile to its style" not in result.output
        assert "…" not in result.output

    def test_a_quick_look_writes_nothing(self, folder: Path, tmp_path: Path) -> None:
        code, output = self.run(folder, "--tiles", "6")
        assert code == 0
        assert "6 of 12 test tiles" in output
        assert not (tmp_path / "benchmarks").exists()
        assert self.run(folder, "--tiles", "6", "--out", "look.json")[0] == 0
        written = json.loads((tmp_path / "look.json").read_text())
        assert written["tiles"] == 6
        assert {row["pass"] for row in written["rows"]} == {None}

    def test_a_quick_look_gives_no_verdicts(self, folder: Path) -> None:
        whole, part = self.run(folder)[1], self.run(folder, "--tiles", "6")[1]
        assert ("pass" in whole, "No verdicts" in whole) == (True, False)
        assert "No verdicts" in part
        assert not any(line.split()[-1:] in (["pass"], ["MISS"]) for line in part.splitlines())
        assert "0.75 to 1.3" not in part
        with pytest.raises(ParameterInvalid, match="--strict"):
            CliRunner().invoke(
                command.app,
                ["--checkpoint=x", "--data=y", "--tiles=6", "--strict"],
                catch_exceptions=False,
            )

    def test_measures_are_called_as_in_the_documentation(self, folder: Path) -> None:
        page = (Path(__file__).parents[2] / "docs" / "results.md").read_text("utf-8")
        table = page.split("| measure |")[1].split("\n\n")[0]
        documented = {line.split("|")[1].strip() for line in table.splitlines()[2:]}
        assert documented <= set(command.NAMES.values())
        printed = self.run(folder)[1]
        assert not any(f"{name}  " in printed for name in command.NAMES)

    def test_strict(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spoilt = Painter(lambda tile: tile[::-1].copy())
        spoilt.card = SimpleNamespace(sha256="0" * 64, training={"slides": []})  # type: ignore[attr-defined]
        loader = SimpleNamespace(load=lambda checkpoint, **_: spoilt)
        monkeypatch.setattr(command, "Synthesizer", loader)
        assert self.run(folder)[0] == 0
        assert self.run(folder, "--strict")[0] == 1

    def test_errors_are_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        missing = ["evaluate", "--checkpoint", "x.safetensors", "--data", str(tmp_path / "none")]
        monkeypatch.setattr("sys.argv", missing)
        with pytest.raises(SystemExit) as stop:
            run_alone(command.app, "evaluate")
        assert stop.value.code == 1
        assert re.fullmatch(r"error: There is no folder .*\n", capsys.readouterr().err)

    @pytest.mark.parametrize("told", [True, False])
    def test_slides_of_the_training_are_not_judged(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, told: bool
    ) -> None:
        """Nor those that may be, by a checkpoint that does not tell its own."""
        slide = next(s for s in read_dataset(folder) if s.split == "test")
        card = SimpleNamespace(sha256="0" * 64, training={"slides": [slide.id]} if told else {})
        trained = Painter()
        trained.card = card  # type: ignore[attr-defined]
        loader = SimpleNamespace(load=lambda checkpoint, **_: trained)
        monkeypatch.setattr(command, "Synthesizer", loader)
        error, said = (DataInvalid, slide.id) if told else (ParameterInvalid, "training.slides")
        with pytest.raises(error, match=said):
            CliRunner().invoke(
                command.app,
                ["--checkpoint", "x.safetensors", "--data", str(folder)],
                catch_exceptions=False,
            )
