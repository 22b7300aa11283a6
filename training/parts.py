"""Files in parts, to be carried: ``cat NAME.part-* > NAME`` joins them."""

import glob
from pathlib import Path

from model.files import whole

MIB = 2**20


def split(path: Path, part_mib: int) -> list[Path]:
    """Write ``NAME.part-01-of-03`` and so on beside ``path``, which stays.

    Parts hold the bytes of the file in order, ``part_mib`` MiB each but the last. Those of an
    earlier split are deleted. Raises FileUnwritable.
    """
    earlier = set(parts_of(path))
    count = max(1, -(-path.stat().st_size // (part_mib * MIB)))
    digits = max(2, len(str(count)))
    parts = []
    with path.open("rb") as file:
        for number in range(1, count + 1):
            name = f"{path.name}.part-{number:0{digits}}-of-{count:0{digits}}"
            parts.append(path.with_name(name))
            with whole(parts[-1]) as partial, partial.open("wb") as part:
                for _ in range(part_mib):
                    part.write(file.read(MIB))
    for old in earlier - set(parts):
        old.unlink()
    return parts


def parts_of(path: Path) -> list[Path]:
    """The parts beside ``path``, in order."""
    return sorted(path.parent.glob(f"{glob.escape(path.name)}.part-*-of-*"))
