"""The training command as a user runs it: alone, resumed, and in two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from model.synthesizer import Synthesizer
from tests.training.fakes import random_vgg
from training.data.crops import LoadedSlide
from training.parts import parts_of

ROOT = Path(__file__).parents[2]
SMALL = ["--width", "8", "--crop", "64", "--batch", "2"]
SMALL += ["--workers", "0", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, slides: list[LoadedSlide]) -> Path:
    """data/ with two training slides of 320 px, and vgg.safetensors with random weights."""
    manifest = []
    for slide in slides:
        for kind, values in (("images", slide.image_u8), ("instances", slide.labels)):
            path = tmp_path / "data" / "train" / kind / f"{slide.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            doubled = np.tile(values, (2, 2, 1)[: values.ndim])
            Image.fromarray(doubled.astype(np.uint8 if kind == "images" else np.uint16)).save(path)
        manifest.append({"id": slide.id, "split": "train", "organ": slide.organ})
    (tmp_path / "data" / "manifest.json").write_text(json.dumps(manifest))
    save_file(random_vgg(), tmp_path / "vgg.safetensors")
    return tmp_path


def train(folder: Path, *options: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "training.train"]
    if processes > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                    "--nproc-per-node", str(processes), "-m", "training.train"]  # fmt: skip
    files = [
        "--data",
        folder / "data",
        "--vgg",
        folder / "vgg.safetensors",
        "--run-dir",
        folder / "run",
    ]
    return subprocess.run(
        [*launcher, *map(str, files), *SMALL, *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
    )


def steps_logged(folder: Path) -> list[int]:
    lines = (folder / "run" / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_run_ends_in_a_checkpoint_that_serves(folder: Path) -> None:
    done = train(
        folder, "--steps", "2", "--log-every", "1", "--shard-mib", "1", "--licence", "CC0-1.0"
    )
    assert done.returncode == 0, done.stderr
    checkpoint = folder / "run" / "checkpoint.safetensors"
    parts = parts_of(checkpoint)
    assert done.stdout.startswith("On cpu, in ")
    # Above it stands the progress bar, whose height depends on the terminal.
    _, below = done.stdout.split(f"wrote {checkpoint}\n")
    assert below.split() == [part.name for part in parts]
    assert b"".join(part.read_bytes() for part in parts) == checkpoint.read_bytes()
    synthesizer = Synthesizer.load(checkpoint)
    assert synthesizer.card.training["steps"] == 2
    assert synthesizer.card.licence == "CC0-1.0"
    assert synthesizer.styles.organs == ["kidney", "liver"]
    tile = synthesizer.synthesize(
        np.zeros((32, 32), int), synthesizer.styles.vector("liver"), seed=0
    )
    assert tile.shape == (32, 32, 3)


def test_two_processes_stop_together_resume_and_export(folder: Path) -> None:
    first = train(folder, "--steps", "3", "--log-every", "1", "--minutes", "0", processes=2)
    assert first.returncode == 0, first.stderr
    assert steps_logged(folder) == [1]
    second = train(folder, "--steps", "3", "--log-every", "1", processes=2)
    assert second.returncode == 0, second.stderr
    assert steps_logged(folder) == [1, 2, 3]
    assert Synthesizer.load(folder / "run" / "checkpoint.safetensors").card.training["steps"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crop", "100"], "multiple of 16"),
        (["--crop", "512"], "320 x 320 px"),
        (["--width", "12"], "multiple of 8"),
        (["--method", "cyclegan"], "no method 'cyclegan'"),
        (["--vgg", "nowhere.safetensors"], "No VGG19 weights"),
        (["--data", "nowhere"], "no folder nowhere"),
        (["--checkpoint", "weights.json"], "give it the suffix .safetensors"),
        (["--weight", "colour"], "--weight colour: give it a name and a number"),
        (["--weight", "color=1"], "no loss term 'color'. Choose one of: feature, perceptual"),
        (["--weight", "colour=nan"], "The weight of 'colour' is nan"),
        (["--weight", "sharpness=1"], "Use --method sharp-gan"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    folder: Path, options: list[str], message: str
) -> None:
    done = train(folder, "--steps", "1", *options)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert message in line


def test_a_run_goes_on_from_a_checkpoint(folder: Path) -> None:
    done = train(folder, "--steps", "2")
    assert done.returncode == 0, done.stderr
    first = (folder / "run").rename(folder / "first") / "checkpoint.safetensors"
    done = train(folder, "--steps", "1", "--start-from", str(first))
    assert done.returncode == 0, done.stderr
    card = Synthesizer.load(folder / "run" / "checkpoint.safetensors").card
    assert card.training["steps"] == 1
    assert card.training["started_from"]["sha256"] == Synthesizer.load(first).card.sha256
    done = train(folder, "--steps", "1", "--start-from", str(first), "--width", "16")
    assert "holds another network than the one to be trained: branch_filters, " in done.stderr


def test_a_variant_of_the_release_network_is_trained(folder: Path) -> None:
    done = train(folder, "--steps", "1", "--log-every", "1", "--variant", "no-projected")
    assert done.returncode == 0, done.stderr
    card = json.loads((folder / "run" / "checkpoint.json").read_text())
    assert card["name"] == "no-projected"
    log = (folder / "run" / "log.jsonl").read_text()
    assert "segmentation_discriminator" in log
    assert "projected_discriminator" not in log


def test_weights_change_on_the_way_and_discriminators_do_not(folder: Path) -> None:
    done = train(folder, "--steps", "1", "--weight", "segmentation=16")
    assert done.returncode == 0, done.stderr
    done = train(folder, "--steps", "2", "--weight", "segmentation=0.5", "--weight", "colour=0")
    assert done.returncode == 0, done.stderr
    card = Synthesizer.load(folder / "run" / "checkpoint.safetensors").card
    assert card.training["steps"] == 2
    weights = card.training["config"]["weights"]
    assert (weights["segmentation"], weights["colour"], weights["projected"]) == (0.5, 0, 1)
    done = train(folder, "--steps", "3", "--weight", "segmentation=0")
    assert done.returncode == 1
    assert "was made with other settings of a discriminator of pixel classes" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--method", "spade", "--variant", "r1"), "--variant changes sian-release"),
        (("--variant", "spade"), "There is no method 'spade'. Choose one of: release"),
    ],
)
def test_a_variant_that_is_not_there_is_said(
    folder: Path, options: tuple[str, ...], said: str
) -> None:
    done = train(folder, *options)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
