"""Measured results as files: what was run, where, when, on which code, and the rows."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.version import code_version


def write_results(
    path: Path, rows: Sequence[dict[str, Any]], *, command: str, threads: int, **facts: Any
) -> None:
    """Write ``path`` as JSON: command, machine, date, code_version, further facts, rows."""
    result = {
        "command": command,
        "machine": machine(threads),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": code_version(),
        **facts,
        "rows": list(rows),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


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
