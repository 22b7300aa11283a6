"""What the compose files make of the settings, read from the files; no engine."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from app import server
from app.keys import parse_keys
from app.settings import SECRETS, Settings

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
GPU = yaml.safe_load((ROOT / "compose.gpu.yml").read_text())["services"]
PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
API, WORKER = (SERVICES[name]["environment"] for name in ("api", "worker"))

OF_THE_FILES = {"SIAN_DEVICE", "SIAN_DATA_DIR"}
"""Settings that say what a container is, and are not for whoever runs it."""
SHARED = {"SIAN_CHECKPOINT", "SIAN_BROKER_URL", "SIAN_BROKER_URL_FILE", "SIAN_ARTIFACTS_URL"}
"""What front end and workers must agree in."""


def variables() -> set[str]:
    """All that the service reads."""
    fields = {f"SIAN_{name.upper()}" for name in Settings.model_fields}
    return fields | {f"SIAN_{name.upper()}_FILE" for name in SECRETS}


def default(value: str | None, name: str) -> str:
    """What a container has where ``name`` is not set outside; "" for nothing."""
    if value is None:
        return ""
    matched = re.fullmatch(rf"\$\{{{name}:-(.*)}}", value)
    assert matched, f"{name}: {value} cannot be changed from outside"
    return matched[1]


def image_variable(name: str) -> str:
    (value,) = re.findall(rf"\b{name}=(\S+)", (ROOT / "Dockerfile").read_text())
    return value


def test_every_setting_reaches_a_container():
    ours = {name for name in API.keys() | WORKER.keys() if name.startswith("SIAN_")}
    assert ours == variables() - {"SIAN_DATA_DIR"}
    assert SHARED.issubset(API.keys() & WORKER.keys())


def test_what_is_passed_on_can_be_set_from_outside():
    for environment in (API, WORKER):
        for name, value in environment.items():
            if name not in OF_THE_FILES:
                default(value, name)
                assert name.startswith("AWS_") or name in variables()


def test_the_files_say_what_a_container_is():
    assert WORKER["SIAN_DEVICE"] == "cpu"
    assert GPU["worker"]["environment"] == {"SIAN_DEVICE": "cuda"}
    assert image_variable("SIAN_DATA_DIR") == "/data"
    assert default(API["SIAN_CHECKPOINT"], "SIAN_CHECKPOINT") == image_variable("SIAN_CHECKPOINT")


def test_the_page_lists_what_is_passed_on():
    listed: dict[str, set[str]] = {"api": set(), "worker": set()}
    for containers, settings in re.findall(
        r"^\| (api, worker|api|worker) \| (`.*`) \|$", PAGE, re.M
    ):
        for container in containers.split(", "):
            listed[container] |= set(re.findall(r"`(\w+)`", settings))
    assert listed["api"] == API.keys()
    assert listed["worker"] == WORKER.keys() - {"SIAN_DEVICE"}


def test_the_page_lists_what_the_files_look_at():
    asked = re.findall(
        r"\$\{(\w+):-([^}]*)}",
        (ROOT / "docker-compose.yml").read_text() + (ROOT / "compose.gpu.yml").read_text(),
    )
    own = {name: value for name, value in asked if name not in API.keys() | WORKER.keys()}
    assert own == dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.M))


def section(title: str) -> str:
    (text,) = re.findall(rf"^#+ {title}$(.*?)(?=^#+ )", PAGE, re.M | re.S)
    return text


def test_weights_of_ones_own_are_mounted_where_the_setting_says():
    text = section("Your own weights")
    (file,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (checkpoint,) = re.findall(r"^SIAN_CHECKPOINT=(\S+)$", text, re.M)
    services = yaml.safe_load(file)["services"]
    assert services.keys() == {"api", "worker"}
    for service in services.values():
        (volume,) = service["volumes"]
        _, folder, mode = volume.split(":")
        assert (Path(checkpoint).parent, mode) == (Path(folder), "ro")


def test_redis_keeps_what_it_is_told_without_containers_too():
    text = section("Without containers")
    (line,) = re.findall(r"^redis-server (.*)$", text, re.M)
    ours = SERVICES["redis"]["command"]
    for option in ("--appendonly", "--appendfsync", "--save", "--maxmemory-policy"):
        words = shlex.split(line)
        assert words[words.index(option) + 1] == ours[ours.index(option) + 1]


def test_the_variables_without_containers_are_settings():
    text = section("Without containers")
    exported = dict(re.findall(r"^export (\w+)=(\S+)", text, re.M))
    assert exported.keys() <= variables()
    assert Path(exported["SIAN_DATA_DIR"]).is_absolute()


def test_secrets_are_mounted_to_be_read():
    for service in ("api", "worker"):
        assert "./secrets:/run/secrets:ro" in SERVICES[service]["volumes"]
    assert (ROOT / "secrets" / ".gitignore").read_text().startswith("*\n")


def environment_of(service: dict[str, str | None], given: dict[str, str]) -> dict[str, str]:
    """The variables of a container that is started with these set outside."""
    inside = {name: given.get(name) or default(value, name) for name, value in service.items()}
    return {name: value for name, value in inside.items() if value}


def test_a_file_of_keys_closes_the_service(monkeypatch, tmp_path):
    (tmp_path / "api-keys").write_text("ward:0123456789abcdef")
    (tmp_path / "broker-url").write_text("rediss://:secret@redis.lab:6379/0")
    given = {
        "SIAN_API_KEYS_FILE": str(tmp_path / "api-keys"),
        "SIAN_BROKER_URL_FILE": str(tmp_path / "broker-url"),
    }
    for name, value in environment_of(API, given).items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert [key.name for key in settings.api_keys] == ["ward"]
    assert settings.broker_url == "rediss://:secret@redis.lab:6379/0"


def test_a_stop_has_time_to_drain():
    drain_s = default(API["SIAN_DRAIN_S"], "SIAN_DRAIN_S")
    assert float(drain_s) == Settings.load().drain_s
    # Whole seconds: docker-compose 1 reads milliseconds as a fraction, which Docker refuses.
    assert SERVICES["api"]["stop_grace_period"] == f"1m${{SIAN_DRAIN_S:-{drain_s}}}s"
    assert 2 * server._SLOW_CLIENTS_S <= 60
    assert "`SIAN_DRAIN_S` with another minute" in PAGE


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_example_of_keys_works_as_it_stands(tmp_path):
    (example,) = re.findall(r"```sh\n(.*?openssl.*?)```", PAGE, re.S)
    (tmp_path / "secrets").mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sudo", "docker"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> called\n')
        (tools / name).chmod(0o755)
    subprocess.run(
        ["sh", "-e", "-c", example],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        check=True,
    )
    file = tmp_path / "secrets" / "api-keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [key.name for key in parse_keys(file.read_text())] == ["alice", "ci"]
    assert (tmp_path / ".env").read_text() == "SIAN_API_KEYS_FILE=/run/secrets/api-keys\n"
    user = re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert (tmp_path / "called").read_text().splitlines() == [
        f"sudo chown {user[0]} secrets/api-keys",
        "docker compose up --detach api",
    ]
