"""All tables and figures at the smallest scale, as a user makes them, from real slides."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from model.checkpoint import sha256_of
from training.data.monuseg import read_dataset
from training.digest import digest
from training.experiments.ablations import set_aside
from training.methods import METHODS

ROOT = Path(__file__).parents[2]
QUALITY = ("dq", "sq", "pq", "aji")


@pytest.fixture(scope="module")
def experiment(test_data: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs ``sian experiment`` in one folder unless told another; returns what it ended with."""
    shared = tmp_path_factory.mktemp("experiments")
    weights = test_data / "weights"
    files = [
        f"--data={test_data / 'data' / 'monuseg'}",
        f"--vgg={weights / 'vgg19_to_relu5_1_fp16.safetensors'}",
        f"--inception={weights / 'inception_2015_to_mixed_7a_fp16.safetensors'}",
    ]

    def run(
        name: str, *options: str, folder: Path = shared, runs: str = "runs"
    ) -> tuple[subprocess.CompletedProcess[str], Path]:
        command = [sys.executable, "-m", "app.cli", "experiment", name, "--scale=smoke", *files]
        command += [f"--out={folder}", f"--folder={folder / runs}", "--device=cpu", *options]
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
        return done, folder

    return run


def rows(folder: Path, name: str) -> list[dict[str, object]]:
    return json.loads((folder / f"{name}-smoke.json").read_text())["rows"]


def finite(row: dict[str, object], *measures: str) -> bool:
    return all(math.isfinite(row[measure]["mean"]) for measure in measures)


def test_out_of_time_is_told_and_gives_no_table(experiment, tmp_path: Path) -> None:
    done, folder = experiment("table1", "--methods=pix2pix", "--minutes=0", folder=tmp_path)
    assert done.returncode == 75
    assert "Run the same command again" in done.stderr
    assert not (folder / "table1-smoke.json").exists()


def test_table_1_has_every_method(experiment) -> None:
    done, folder = experiment("table1")
    assert done.returncode == 0, done.stderr
    table = rows(folder, "table1")
    styled = {name for name, method in METHODS.items() if method.styled}
    expected = [(name, "none") for name in METHODS if name not in styled]
    expected += [(name, source) for name in styled for source in ("same", "slide")]
    methods = [row for row in table if row["method"] in METHODS]
    assert sorted((row["method"], row["style_source"]) for row in methods) == sorted(expected)
    assert all(
        finite(row, "fid_768", "fid_1280", "kid", "ssim", *QUALITY) and row["tiles"] == 28
        for row in methods
    )
    floors = [row for row in table if row["method"] not in METHODS]
    assert [row["method"] for row in floors] == ["real-beside", "real-training", "real"]
    page = (folder / "table1-smoke.md").read_text()
    assert "Its numbers mean nothing" in page
    assert "(0.586)" in page


def test_table_2_has_every_method_and_organ(experiment) -> None:
    done, folder = experiment("table2")
    assert done.returncode == 0, done.stderr
    table = rows(folder, "table2")
    organs = {"breast", "kidney", "prostate", "bladder", "colon", "lung", "brain"}
    assert {row["organ"] for row in table} == organs
    assert {row["method"] for row in table} == {"real-beside", "real-training", *METHODS}
    assert all(finite(row, "fid_768", "kid") for row in table)


def test_table_3_has_both_real_sets_and_every_method(experiment) -> None:
    done, folder = experiment("table3")
    assert done.returncode == 0, done.stderr
    table = rows(folder, "table3")
    assert [row["method"] for row in table] == ["real", "real-augmented", *METHODS]
    assert [row["synthetic"] for row in table] == [0, 0, *[7] * len(METHODS)]
    assert all(finite(row, *QUALITY) for row in table)


def test_ablations_judge_training_slides_alone(experiment, test_data: Path) -> None:
    variants = ("release", "diff-augment", "no-segmentation")
    done, folder = experiment("ablations", f"--methods={','.join(variants)}", runs="ablations")
    assert done.returncode == 0, done.stderr
    table = json.loads((folder / f"ablations-smoke-{'-'.join(variants)}.json").read_text())["rows"]
    assert [row["method"] for row in table] == [
        "real-beside", "real-training", "real", *variants,
    ]  # fmt: skip
    assert all(
        finite(row, "fid_768", "kid", "ssim", "lab", "energy", "auc", *QUALITY) for row in table[3:]
    )
    note = json.loads((folder / "ablations" / "release-s0" / "made-from.json").read_text())
    slides = set_aside(read_dataset(test_data / "data" / "monuseg"))
    trained = [slide for slide in slides if slide.split == "train"]
    assert len(trained) == 23
    assert note["training_slides"] == digest(
        [[s.id, sha256_of(s.image_path), sha256_of(s.labels_path)] for s in trained]
    )


def test_figures(experiment) -> None:
    done, folder = experiment("figures")
    assert done.returncode == 0, done.stderr
    sizes = {}
    for number in (1, 4, 5):
        with Image.open(folder / f"figure{number}-smoke.png") as picture:
            sizes[number] = picture.size
    assert sizes[1][0] > 7 * 256  # an organ a column
    assert sizes[4][0] > (2 + len(METHODS)) * 256
    assert sizes[5][0] > (2 + len(METHODS)) * 192
