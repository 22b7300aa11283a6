"""The studio's files over HTTP; what they do in a browser is in tests/browser."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import app

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "app" / "studio"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())


def test_the_front_page_is_the_studio(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "SIAN" in page.text
    assert 'href="docs"' in page.text
    for address in re.findall(r'(?:href|src)="(studio/[^"]+)"', page.text):
        assert client.get(f"/{address}").status_code == 200, address


def test_every_file_is_served(client):
    for name in FILES:
        answer = client.get(f"/studio/{name}")
        assert answer.status_code == 200, name
        assert answer.content == (FOLDER / name).read_bytes()
    assert client.get("/studio/main.js").headers["content-type"].startswith("text/javascript")


def test_scripts_import_files_that_are_there():
    for script in FOLDER.rglob("*.js"):
        for name in re.findall(r'from "(\.[^"]+)"', script.read_text("utf-8")):
            assert (script.parent / name).is_file(), f"{script}: {name}"


def test_the_page_may_speak_to_its_own_server_only(client):
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' blob: data:;")
    assert "unsafe" not in policy
    for name in FILES:
        if name.endswith((".html", ".css", ".js")):
            text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?:|[\"'(]//", text), name


def test_browsers_ask_whether_it_has_changed(client):
    first = client.get("/studio/main.js")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    again = client.get("/studio/main.js", headers={"If-None-Match": f'"other", W/{etag}'})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == etag
    assert client.get("/", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nothing.js",
        "css",
        "../main.py",
        "%2e%2e/main.py",
        "..%2f..%2fpyproject.toml",
        "%00.js",
        "a" * 300 + ".js",
    ],
)
def test_nothing_else_is_served(client, name):
    answer = client.get(f"/studio/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_head_and_other_methods(client):
    head = client.head("/")
    assert head.status_code == 200
    assert head.content == b""
    assert client.post("/").status_code == 405


def test_a_wheel_carries_every_file(tmp_path):
    source = tmp_path / "source"  # setuptools leaves a folder where it builds
    for package in ("app", "model", "training", "worker"):
        shutil.copytree(ROOT / package, source / package)
    for file in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "--disable-pip-version-check", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"app/studio/{name}" for name in FILES} <= names
    tracked = subprocess.run(
        ["git", "ls-files", "app", "model", "training", "worker"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert len(tracked) > 200
    assert set(tracked) <= names


def test_a_release_behind_a_link_has_its_files(tmp_path):
    (tmp_path / "app").symlink_to(Path(app.__file__).parent)
    look = "from app.routes import studio; print(studio.get_file('index.html').status_code)"
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "200\n"
