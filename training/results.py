"""Measured results as files: what was run, where, when, on which code, and the rows."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.files import write_whole
from model.version import code_version

_ROOT = Path(__file__).resolve().parents[1]

# Results are no code, and those of an earlier run may not be committed yet.
_CODE = (".", ":(exclude)benchmarks/results", ":(exclude)docs")


def write_results(
    path: Path, rows: Sequence[dict[str, Any]], *, command: str, threads: int, **facts: Any
) -> None:
    """Write ``path`` as JSON: command, machine, date, code_version, further facts, rows. Raises
    FileUnwritable.

    Code that runs from a checkout has its ``commit`` too, and whether it differs from that.
    """
    result = {
        "command": command,
        "machine": machine(threads),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": code_version(),
        **checkout(),
        **facts,
        "rows": list(rows),
    }
    write_whole(path, json.dumps(result, indent=1) + "\n")


def checkout(root: Path | None = None) -> dict[str, Any]:
    """``commit`` of the git checkout at ``root``, and whether its code has ``uncommitted_changes``.

    root: that of the code that runs, unless given.
    Untracked files do not count. Nothing when there is no such checkout, or no git.
    """
    root = root or _ROOT
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return {}
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *_CODE)
        return {"commit": _git(root, "rev-parse", "HEAD"), "uncommitted_changes": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


def machine(threads: int) -> str:
    """Processor, cores, memory, system and Python, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores ({threads} threads used), {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
