"""The deployment of docker-compose.yml on a real Docker engine: it works, it is locked down, and
no job is lost when parts of it die.

    make compose-test

Needs Docker with Compose and rights to use it. It leaves the images, and a record of the run in
benchmarks/results/compose.json.
"""

import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from app.problems import Exit
from tests.compose.load import MASKS, Client, Load, largest_mask, largest_style
from tests.compose.stack import ROOT, Stack, running, versions, wait_until
from training.results import write_results

RESULT = ROOT / "benchmarks" / "results" / "compose.json"
SERVICES = ("api", "worker", "redis")
JOBS, TILES = 6, 8
LARGEST_JOBS = 8
PACKAGES = "from importlib.metadata import distributions; print([d.name for d in distributions()])"


class Record:
    """Steps with the seconds they took, said while they run."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    @contextmanager
    def step(self, what: str) -> Iterator[dict[str, Any]]:
        """The dictionary is for further facts of the step."""
        print(f"- {what} ...", flush=True)
        facts: dict[str, Any] = {}
        began = time.monotonic()
        yield facts
        row = {"step": what, "seconds": round(time.monotonic() - began, 1), **facts}
        self.rows.append(row)
        said = ", ".join(f"{name} {value}" for name, value in row.items() if name != "step")
        print(f"  done: {said}", flush=True)


def main(
    file: Annotated[
        list[Path] | None, typer.Option(help="Compose file to read after docker-compose.yml.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the record goes.")] = RESULT,
) -> None:
    """Build the images, start the stack, break it in every way, and take it down."""
    overrides = [path.resolve() for path in file or []]
    record = Record()
    with running(overrides) as stack:
        build(stack, record)
        start(stack, record)
        check_hardening(stack, record)
        check_packages(stack, record)
        make_a_tile(stack, record)
        expected = run_undisturbed(stack, record)
        kill_worker_container(stack, record, expected)
        kill_worker_process(stack, record, expected)
        freeze_worker(stack, record)
        kill_redis_mid_load(stack, record)
        stop_and_start(stack, record, expected)
        make_the_largest(stack, record)
        sizes = {f"{name}_image_mb": stack.image_mb(name) for name in SERVICES}
    command = " ".join(["make compose-test", *(f"OVERRIDE={path}" for path in file or [])])
    write_results(
        out, record.rows, command=command, threads=os.cpu_count() or 1, **versions(), **sizes
    )
    print(f"{len(record.rows)} steps passed; recorded in {out}")


def build(stack: Stack, record: Record) -> None:
    with record.step("build the images"):
        stack.compose("build")


def start(stack: Stack, record: Record) -> None:
    with record.step("start; ready"):
        stack.up()
        wait_until(stack.is_ready, "/readyz answers 200")
    with record.step("containers report healthy"):
        wait_until(lambda: all(map(stack.is_healthy, SERVICES)), "all are healthy")


def check_hardening(stack: Stack, record: Record) -> None:
    with record.step("no root, no capabilities, read-only root, loopback only"):
        for service in SERVICES:
            host = stack.inspect(service)["HostConfig"]
            assert host["ReadonlyRootfs"], service
            assert host["CapDrop"] == ["ALL"], service
            assert "no-new-privileges:true" in host["SecurityOpt"], service
            published = [at for ports in (host["PortBindings"] or {}).values() for at in ports]
            addresses = {"127.0.0.1"} if service == "api" else set()
            assert {at["HostIp"] for at in published} == addresses, (service, published)
            code, user = stack.exec(service, "id", "-u")
            assert code == 0, user
            assert user != "0", service
            code, capabilities = stack.exec(service, "grep", "CapEff", "/proc/1/status")
            assert code == 0, capabilities
            assert int(capabilities.split()[1], 16) == 0, (service, capabilities)
            folders = ["/opt"] if service == "redis" else ["/opt", "/run/secrets"]
            for folder in folders:
                code, said = stack.exec(service, "touch", f"{folder}/x")
                assert code != 0, (service, folder)
                assert "Read-only" in said, said
        for name, value in {"appendonly": "yes", "appendfsync": "always",
                            "maxmemory-policy": "noeviction"}.items():  # fmt: skip
            assert stack.exec("redis", "redis-cli", "config", "get", name) == (
                0, f"{name}\n{value}",
            ), name  # fmt: skip


def check_packages(stack: Stack, record: Record) -> None:
    with record.step("torch in the worker only"):
        for service, has_torch in {"api": False, "worker": True}.items():
            code, packages = stack.exec(service, "python", "-c", PACKAGES)
            assert code == 0, packages
            assert ("'torch'" in packages) == has_torch, (service, packages)
            code, said = stack.exec(service, "python", "-c", "import torch")
            if has_torch:
                assert code == 0, said
            else:
                assert "No module named 'torch'" in said, said


def make_a_tile(stack: Stack, record: Record) -> None:
    with record.step("a tile"):
        answer = stack.client.post(
            "/synthesize",
            files={"mask": MASKS[0]},
            data={"organ": "breast", "seed": "1"},
            headers={"Accept": "image/png"},
        )
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as tile:
            assert tile.size == (256, 256)
            assert tile.mode == "RGB"


def run_undisturbed(stack: Stack, record: Record) -> list[str]:
    """Hashes of the tiles that all later runs must give."""
    with record.step(f"{JOBS} jobs of {TILES} tiles, undisturbed") as facts:
        expected = tiles(stack.finished(submit(stack)))
        facts |= peaks(stack)
    return expected


def kill_worker_container(stack: Stack, record: Record, expected: list[str]) -> None:
    with record.step("kill -9 of the worker's container mid-job; every job succeeds") as facts:
        paths = submit(stack)
        wait_until(lambda: is_mid_job(stack, paths), "a job is running")
        stack.kill_container("worker")
        stack.up("worker")
        facts["s_until_it_runs_again"] = seconds_until(
            lambda: any(stack.job(path)["attempts"] > 1 for path in paths), "a second attempt"
        )
        assert tiles(stack.finished(paths)) == expected


def kill_worker_process(stack: Stack, record: Record, expected: list[str]) -> None:
    with record.step("kill -9 of the worker's process mid-job; Docker restarts it") as facts:
        before = stack.inspect("worker")["RestartCount"]
        paths = submit(stack)
        wait_until(lambda: is_mid_job(stack, paths), "a job is running")
        stack.signal_process("worker", "KILL")
        facts["s_until_it_runs_again"] = seconds_until(
            lambda: any(stack.job(path)["attempts"] > 1 for path in paths), "a second attempt"
        )
        assert tiles(stack.finished(paths)) == expected
        assert stack.inspect("worker")["RestartCount"] == before + 1


def freeze_worker(stack: Stack, record: Record) -> None:
    with record.step("freeze the worker; /readyz and its health check tell") as facts:
        stack.signal_process("worker", "STOP")
        facts["s_until_told"] = seconds_until(lambda: not stack.is_ready(), "/readyz tells")
        code, said = stack.exec("worker", "sian", "worker", "--check")
        assert code == Exit.TEMPORARY, said
        stack.signal_process("worker", "CONT")
        wait_until(stack.is_ready, "/readyz answers 200 again")
        code, said = stack.exec("worker", "sian", "worker", "--check")
        assert code == 0, said


def kill_redis_mid_load(stack: Stack, record: Record) -> None:
    with record.step("kill -9 of Redis under load, twice; nothing accepted is lost") as facts:
        load = Load(stack)
        for times in (1, 2):
            load.wait_for(accepted=10 * times)
            stack.kill_container("redis")
            load.wait_for(refused=2 * times)
            stack.up("redis")
        load.wait_for(accepted=30)
        load.stop()
        facts |= {"accepted": len(load.accepted), "refused": load.refused}
        jobs = stack.finished(load.accepted)
        assert [job["status"] for job in jobs] == ["succeeded"] * len(jobs)
        for job in jobs:
            assert len(job["outputs"]) == 1
            assert stack.client.get(job["outputs"][0]["href"]).status_code == 200


def stop_and_start(stack: Stack, record: Record, expected: list[str]) -> None:
    with record.step("stop with jobs in the queue; every process ends in order"):
        paths = submit(stack)
        wait_until(lambda: is_mid_job(stack, paths), "a job is running")
        stack.compose("stop")
        codes = {service: stopped_with(stack, service) for service in SERVICES}
        # uvicorn, when it is done, ends by the signal that it was sent, which the shell counts so.
        assert codes == {"api": 128 + signal.SIGTERM, "worker": 0, "redis": 0}, codes
    with record.step("start again; the jobs go on where they were"):
        stack.up()
        wait_until(stack.is_ready, "/readyz answers 200")
        assert tiles(stack.finished(paths)) == expected


def make_the_largest(stack: Stack, record: Record) -> None:
    what = f"{LARGEST_JOBS} jobs at once of the largest mask and the largest style image"
    with record.step(what) as facts:
        mask, style = largest_mask(), largest_style()
        clients = [Client(stack, mask, style, seed) for seed in range(LARGEST_JOBS)]
        for client in clients:
            client.thread.join()
        answers = [client.answer for client in clients]
        assert all(answer is not None and answer.status_code == 202 for answer in answers), answers
        jobs = stack.finished([answer.headers["Location"] for answer in answers if answer])
        assert [job["status"] for job in jobs] == ["succeeded"] * LARGEST_JOBS
        facts |= peaks(stack)
        assert not any(stack.inspect(name)["State"]["OOMKilled"] for name in SERVICES)


def submit(stack: Stack) -> list[str]:
    """Always the same jobs."""
    answers = [
        stack.submit(MASKS[seed % len(MASKS)], seed=100 * seed, n=TILES) for seed in range(JOBS)
    ]
    assert {answer.status_code for answer in answers} == {202}, [a.text for a in answers]
    return [answer.headers["Location"] for answer in answers]


def tiles(jobs: list[dict[str, Any]]) -> list[str]:
    """Hashes of all tiles of jobs that have succeeded, one tile a seed."""
    for job in jobs:
        assert job["status"] == "succeeded", job
        assert len({output["seed"] for output in job["outputs"]}) == len(job["outputs"]) == TILES
    return [output["sha256"] for job in jobs for output in job["outputs"]]


def is_mid_job(stack: Stack, paths: list[str]) -> bool:
    """A job has stored some of its tiles and not all."""
    progress = [stack.job(path)["progress"] for path in paths]
    return any(0 < p["done"] < p["total"] for p in progress)


def peaks(stack: Stack) -> dict[str, int]:
    return {f"{name}_peak_mb": stack.peak_mb(name) for name in ("api", "worker")}


def seconds_until(is_so: Callable[[], bool], what: str) -> float:
    began = time.monotonic()
    wait_until(is_so, what)
    return round(time.monotonic() - began, 1)


def stopped_with(stack: Stack, service: str) -> int:
    state = stack.inspect(service)["State"]
    assert not state["Running"], service
    return int(state["ExitCode"])


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
