"""Against the text of the paper."""

import os
from pathlib import Path

import pytest

from training.experiments.printed import ORGANS, TABLE_1, TABLE_2, TABLE_3

ROWS = {
    "pix2pix [23]": "pix2pix", "Sharp-GAN [24]": "sharp-gan", "pix2pixHD [25]": "pix2pixhd",
    "SPADE [11]": "spade", "INST": "inst", "STYLE": "style", "SIAN": "sian",
    "[23]": "pix2pix", "[24]": "sharp-gan", "[25]": "pix2pixhd", "[11]": "spade",
    "MoNuSeg training set": "real", "MoNuSeg training set*": "real-augmented",
    "+pix2pixHD": "pix2pixhd", "+Sharp-GAN": "sharp-gan", "+SPADE": "spade", "+SIAN": "sian",
}  # fmt: skip


@pytest.fixture
def paper(test_data: Path) -> str:
    """Its text. Who has the data alone skips; CI does not."""
    path = test_data / "paper" / "sian.txt"
    if not path.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"{path}, the text of the paper, does not exist")
    return path.read_text(encoding="utf-8")


def table(text: str, columns: tuple[str, ...], heading: str) -> dict[str, dict[str, float]]:
    """The lines below one that begins with ``heading``, up to the empty one."""
    lines = text[text.index(f"\n{heading}\t") + 1 :].split("\n\n")[0].splitlines()[1:]
    cells = [line.split("\t") for line in lines]
    return {
        ROWS[name]: dict(zip(columns, map(float, values), strict=True)) for name, *values in cells
    }


def test_table_1(paper: str) -> None:
    assert table(paper, ("fid", "ssim", "dq", "sq", "pq"), "Methods") == TABLE_1


def test_table_2(paper: str) -> None:
    assert [organ[:3] for organ in ORGANS] == ["bre", "kid", "pro", "bla", "col", "lun", "bra"]
    assert table(paper, ORGANS, "Meth.") == TABLE_2


def test_table_3(paper: str) -> None:
    assert table(paper, ("dq", "sq", "pq"), "Training Set") == TABLE_3
