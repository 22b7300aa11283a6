"""Settings of the shell reach no process that is measured."""

import os
import subprocess
import sys

import pytest

from benchmarks.common.environment import own_environment, without_settings

PRINT = "import os; print(*sorted(name for name in os.environ if name.startswith('SIAN_')))"


@pytest.fixture(autouse=True)
def of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAN_DEVICE", "cuda")
    monkeypatch.setenv("SIAN_API_KEYS_FILE", "/run/secrets/keys")
    monkeypatch.setenv("SIANA", "kept")


def test_a_child_has_its_own_settings_and_everything_else() -> None:
    environment = own_environment(SIAN_PORT="1", OMP_NUM_THREADS="1")
    assert {name for name in environment if name.startswith("SIAN_")} == {"SIAN_PORT"}
    assert (environment["OMP_NUM_THREADS"], environment["SIANA"]) == ("1", "kept")
    assert environment["PATH"] == os.environ["PATH"]
    assert os.environ["SIAN_DEVICE"] == "cuda"


def test_children_that_inherit_have_none() -> None:
    with without_settings():
        child = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, check=True)
    assert child.stdout.split() == []


def test_the_settings_come_back_even_after_an_error() -> None:
    before = dict(os.environ)

    def interrupted() -> None:
        with without_settings():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert dict(os.environ) == before
