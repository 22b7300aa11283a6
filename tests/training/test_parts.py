"""Files in parts."""

import subprocess
from pathlib import Path

import pytest

from training.parts import MIB, parts_of, split


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a [1].safetensors"  # a name that is a pattern, too
    path.write_bytes(bytes(range(256)) * (3 * MIB // 256) + b"rest")
    return path


@pytest.mark.parametrize(
    ("part_mib", "sizes"),
    [(1, [MIB, MIB, MIB, 4]), (2, [2 * MIB, MIB + 4]), (4, [3 * MIB + 4])],
)
def test_cat_joins_what_was_split(file: Path, part_mib: int, sizes: list[int]) -> None:
    parts = split(file, part_mib)
    assert [part.stat().st_size for part in parts] == sizes
    assert parts == parts_of(file)
    joined = subprocess.run(["cat", *sorted(map(str, parts))], capture_output=True, check=True)
    assert joined.stdout == file.read_bytes()


def test_an_earlier_split_leaves_nothing(file: Path) -> None:
    split(file, 1)
    file.write_bytes(b"short")
    assert [part.name for part in split(file, 1)] == [f"{file.name}.part-01-of-01"]
    assert [part.read_bytes() for part in parts_of(file)] == [b"short"]


def test_their_names_sort_as_they_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(bytes(101 * MIB))
    names = [part.name for part in split(path, 1)]
    assert names[:2] == ["long.part-001-of-101", "long.part-002-of-101"]
    assert names == sorted(names)
