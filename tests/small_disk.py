"""A disk so small that it gets full, seen by one process alone."""

import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT

_MOUNT = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"'


def small_disk(folder: Path, size: str) -> list[str]:
    """The command that runs a command with a disk of that size at ``folder``.

    size: such as 600k.
    """
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", _MOUNT, size, str(folder)]


def run_on_a_small_disk(folder: Path, size: str, program: str) -> None:
    """Run a Python program whose first argument is the folder, which is a disk of that size."""
    command = [*small_disk(folder, size), sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
