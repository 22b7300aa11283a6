"""The four rooms: app -> worker -> model <- training, and what each may use.

Every source file is parsed, so that an import inside a function counts too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"app": {"worker", "model"}, "worker": {"model"}, "model": set(), "training": {"model"}}
SCIENCE = {
    "PIL",
    "numpy",
    "rich",
    "safetensors",
    "scipy",
    "skimage",
    "tifffile",
    "torch",
    "torchmetrics",
    "typer",
}
"""All that model/ and training/ may use beside the standard library."""
FORMATS = {"defusedxml", "pycocotools", "shapely"}
"""What reading and writing some mask formats takes, in functions only: a machine that trains
does without."""

NO_TORCH = (
    "model",
    "model.checkpoint",
    "model.config",
    "model.errors",
    "model.formats",
    "model.images",
    "model.styles",
    "model.tile",
    "worker",
    "worker.engine",
    "worker.queue",
    "app.main",
    "app.cli",
)
FILES = sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))


class Import(NamedTuple):
    module: str
    line: int
    in_function: bool
    """Or otherwise not run when the module is imported."""

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def imports(source: str, path: Path) -> Iterator[Import]:
    """Every module that the source imports; relative imports made absolute."""
    yield from _visit(ast.parse(source, str(path)), path, in_function=False)


def _visit(node: ast.AST, path: Path, *, in_function: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, in_function)
    elif isinstance(node, ast.ImportFrom):
        package = path.parts[:-1][: len(path.parts) - node.level] if node.level else ()
        yield Import(".".join((*package, node.module or "")), node.lineno, in_function)
    elif isinstance(node, ast.Call) and _names_import(node.func):
        for argument in node.args[:1]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield Import(argument.value, node.lineno, in_function)
    inside = (
        in_function
        or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or _is_for_type_checkers(node)
    )
    for child in ast.iter_child_nodes(node):
        yield from _visit(child, path, in_function=inside)


def _is_for_type_checkers(node: ast.AST) -> bool:
    """``if TYPE_CHECKING:``, which never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _names_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def offences(source: str, path: Path) -> list[str]:
    """Imports in a file that point the wrong way or are not allowed there, as file:line lines."""
    room = path.parts[0]
    allowed = {room} | ROOMS[room]
    found = []
    for use in imports(source, path):
        lazily_from_cli = path == Path("app/cli.py") and use.in_function
        if use.top in ROOMS and use.top not in allowed:
            wrong = not (use.top == "training" and lazily_from_cli)
        elif room in ("model", "training") and use.top not in ROOMS:
            known = SCIENCE | (FORMATS if use.in_function else set())
            wrong = use.top not in known and use.top not in sys.stdlib_module_names
        elif room == "app":
            wrong = use.top == "torch" and not use.in_function
        else:
            wrong = False
        if wrong:
            found.append(f"{path}:{use.line}: {room} must not import {use.module} here")
    return found


def test_every_room_has_source_files() -> None:
    assert {path.parts[0] for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_keep_the_direction(path: Path) -> None:
    assert offences((ROOT / path).read_text(), path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/a.py", "import worker"),
        ("model/a.py", "from app.settings import Settings"),
        ("model/a.py", "def f():\n    import training.loop"),
        ("model/a.py", "import pydantic"),
        ("training/a.py", "import fastapi"),
        ("training/a.py", "import torchvision"),
        ("training/data/a.py", "from importlib import import_module\nimport_module('worker.jobs')"),
        ("worker/a.py", "from app import settings"),
        ("worker/a.py", "import training"),
        ("app/a.py", "def f():\n    import training"),
        ("app/cli.py", "import training.train"),
        ("app/main.py", "import torch"),
        ("app/routes/a.py", "from ...training import loop"),
    ],
)
def test_a_wrong_import_is_found(path: str, source: str) -> None:
    assert len(offences(source, Path(path))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/a.py", "import torch\nfrom scipy import ndimage\nfrom . import layout"),
        ("training/a.py", "import json\nfrom model.layout import layout_maps\nimport torchmetrics"),
        ("worker/a.py", "import redis\nfrom model import errors"),
        (
            "app/routes/a.py",
            "from ..settings import Settings\nimport fastapi\nimport model, worker",
        ),
        ("app/cli.py", "def train():\n    from training.train import run"),
    ],
)
def test_a_right_import_passes(path: str, source: str) -> None:
    assert offences(source, Path(path)) == []


@pytest.mark.parametrize("module", NO_TORCH)
def test_importing_leaves_torch_out(module: str) -> None:
    code = f"import {module}, sys; print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.stdout.strip() == "False"
