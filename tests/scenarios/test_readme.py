"""The README's first screen does what it says."""

import io
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.processes import ROOT, Server

README = (ROOT / "README.md").read_text("utf-8")


def lines_starting_with(command: str) -> list[list[str]]:
    """The words of every line of a code block that begins with ``command``."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(command)]


def test_curl_commands_give_tiles(serve: Callable[..., Server]) -> None:
    server = serve()
    commands = lines_starting_with("curl")
    assert len(commands) == 2
    for words in commands:
        assert "--fail-with-body" in words  # the file then says what was wrong
        pairs = itertools.pairwise(words)
        fields = dict(word.split("=", 1) for flag, word in pairs if flag == "-F")
        data = {key: value for key, value in fields.items() if not value.startswith("@")}
        files = {
            key: (ROOT / value[1:]).read_bytes()
            for key, value in fields.items()
            if value.startswith("@")
        }
        answer = server.client.post("/synthesize", data=data, files=files)
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (256, 256)


def test_the_command_line_gives_a_tile(tmp_path: Path) -> None:
    (words,) = lines_starting_with(".venv/bin/sian")
    words[words.index("--out") + 1] = str(tmp_path / "tile.png")
    subprocess.run([sys.executable, "-m", "app.cli", *words[1:]], cwd=ROOT, check=True)
    with Image.open(tmp_path / "tile.png") as tile:
        assert tile.size == (256, 256)


def test_the_python_example_gives_a_tile() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    check = "\nassert tile.shape == (256, 256, 3)\n"
    subprocess.run([sys.executable, "-c", code + check], cwd=ROOT, check=True)


def test_the_picture_leaves_the_commands_on_the_first_screen() -> None:
    with Image.open(ROOT / "docs" / "images" / "overview.png") as picture:
        assert picture.height <= 420
        assert picture.width > 2 * picture.height


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 6
    for target in targets:
        assert (ROOT / target).exists(), target
