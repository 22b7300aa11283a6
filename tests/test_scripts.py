"""The scripts that write committed files: only when asked to, and elsewhere on request."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [
    ROOT / "examples" / "make_examples.py",
    # The peer is no benchmark: it is served until stopped, and writes nothing.
    *sorted(set((ROOT / "benchmarks").glob("*.py")) - {ROOT / "benchmarks" / "litserve_peer.py"}),
]


@pytest.fixture(params=SCRIPTS, ids=lambda script: script.name)
def run(request, monkeypatch, capsys):
    """Runs a script with one argument; exit code and stdout."""
    # layout.py sets it; setting it here puts back what was there before.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(argument):
        monkeypatch.setattr("sys.argv", [str(request.param), argument])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(request.param), run_name="__main__")
        return stop.value.code, capsys.readouterr().out

    return run


def test_help_names_where_the_files_go(run):
    code, out = run("--help")
    assert code == 0
    assert "--out" in out


def test_an_unknown_argument_is_refused(run):
    assert run("--nowhere")[0] == 2


@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS[1:]))
def test_a_benchmark_is_started_as_a_module(name):
    # As a script, its folder would come first in the search, and benchmarks/training.py would
    # hide the package of that name.
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    assert f"python -m benchmarks.{name}" in source
    assert "python benchmarks/" not in source
