"""What a file of results says of the code it was made with."""

import json
import subprocess
from pathlib import Path

import pytest

from training import results
from training.results import checkout, write_results


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with a file of code and a file of results."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set where a hook runs tests
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "checkout"
    (root / "benchmarks" / "results").mkdir(parents=True)
    (root / "code.py").write_text("1")
    (root / "benchmarks" / "results" / "a.json").write_text("1")
    person = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*person, "commit", "-qm", "First"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    return root


def test_results_name_the_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(results, "_ROOT", repository)
    write_results(tmp_path / "out.json", [], command="sian", threads=1)
    written = json.loads((tmp_path / "out.json").read_text())
    assert len(written["commit"]) == 40
    assert written["uncommitted_changes"] is False


def test_changed_code_is_told_and_changed_results_are_not(repository: Path) -> None:
    (repository / "benchmarks" / "results" / "a.json").write_text("2")
    (repository / "new.txt").write_text("untracked")
    assert checkout(repository)["uncommitted_changes"] is False
    (repository / "code.py").write_text("2")
    assert checkout(repository)["uncommitted_changes"] is True


def test_code_outside_a_checkout_has_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = repository / "benchmarks"  # in a checkout, which is not its own
    assert checkout(installed) == {}
    monkeypatch.setenv("PATH", "")
    assert checkout(repository) == {}
