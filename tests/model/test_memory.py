import ctypes
import subprocess
import sys

import pytest

from model.memory import keep_freed_memory

FAULTS_OF_A_SECOND_TILE = """
import resource, threading
import numpy as np
from model.memory import keep_freed_memory

if KEEP:
    keep_freed_memory()

def allocate():
    np.ones(64 * 2**20, np.uint8)

def measure():
    allocate()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    allocate()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs the GNU C library")
def test_what_was_freed_is_used_again_in_every_thread():
    def faults(keep):
        program = FAULTS_OF_A_SECOND_TILE.replace("KEEP", str(keep))
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults(keep=False) > 64 * 2**20 // 2**21 - 1  # a fault a huge page at the very least
    assert faults(keep=True) < 16


def test_is_harmless_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
