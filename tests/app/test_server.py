import asyncio
import signal
import socket
import threading

import httpx2
import pytest
import uvicorn

from app import server
from app.main import create_app
from app.settings import Settings
from model.errors import ParameterInvalid, SettingsInvalid
from tests.waiting import until
from worker import synthesis

PATIENCE_S = 30
KEY = "ward:0123456789abcdef"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_public_address_needs_keys(host):
    with pytest.raises(SettingsInvalid, match=r"SIAN_API_KEYS.*SIAN_ALLOW_ANONYMOUS"):
        server._bound(Settings.load(), host, 0)


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        ("0.0.0.0", {"api_keys": KEY}),
        ("0.0.0.0", {"allow_anonymous": True}),
        ("127.0.0.1", {}),
        ("127.0.0.2", {}),
        ("localhost", {}),
    ],
)
def test_where_it_may_listen(host, settings):
    with server._bound(Settings.load(**settings), host, 0) as listener:
        assert listener.getsockname()[1] > 0


def test_an_address_that_is_not_here():
    with pytest.raises(ParameterInvalid, match=r"192\.0\.2\.1"):
        server._bound(Settings.load(allow_anonymous=True), "192.0.2.1", 0)


@pytest.fixture
def serving(checkpoint, synthesizer, tmp_path, monkeypatch):
    """Runs a server in a thread; the server and its address."""
    monkeypatch.setattr(synthesis, "load", lambda *args, **options: synthesizer)
    running = []

    def serving(**settings):
        settings = Settings.load(checkpoint=checkpoint, data_dir=tmp_path / "data", **settings)
        listener = server._bound(settings, "127.0.0.1", 0)
        app = create_app(settings)
        config = uvicorn.Config(app, log_config=None, forwarded_allow_ips=settings.trusted_proxies)
        this = server._Server(config, app.state.service)
        port = listener.getsockname()[1]  # closed once it has stopped
        thread = threading.Thread(target=lambda: asyncio.run(this.serve([listener])))
        thread.start()
        until(lambda: this.started)
        running.append((this, thread))
        return this, thread, f"http://127.0.0.1:{port}"

    yield serving
    for this, thread in running:
        this.should_exit = True
        thread.join(PATIENCE_S)


def test_sigterm_turns_readyz_first(serving, mask_file):
    this, thread, address = serving(drain_s=600)
    with httpx2.Client(base_url=address) as client:
        client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
        assert client.get("/readyz").status_code == 200
        this.handle_exit(signal.SIGTERM, None)
        assert client.get("/readyz").status_code == 503
        answer = client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
        assert answer.status_code == 200
        assert not this.should_exit
    this.handle_exit(signal.SIGTERM, None)  # a second one does not wait
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("sig", "drain_s"), [(signal.SIGINT, 600), (signal.SIGTERM, 0), (signal.SIGTERM, 0.1)]
)
def test_comes_to_its_end(serving, sig, drain_s):
    this, thread, address = serving(drain_s=drain_s)
    with httpx2.Client(base_url=address) as client:
        assert client.get("/healthz").status_code == 200
    this.handle_exit(sig, None)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_stop_answers_who_waits_and_ends_streams(serving, mask_file, busy, go_on):
    this, thread, address = serving()
    answers = []

    def post():
        with httpx2.Client(base_url=address, timeout=PATIENCE_S) as client:
            answers.append(client.post("/synthesize", files=mask_file, data={"organ": "kidney"}))

    def follow(path, begun):
        with (
            httpx2.Client(base_url=address, timeout=PATIENCE_S) as client,
            client.stream("GET", path) as stream,
        ):
            lines = []
            for line in stream.iter_lines():
                lines.append(line)
                begun.set()
            answers.append(lines)

    with httpx2.Client(base_url=address) as client:
        accepted = client.post(
            "/synthesize",
            files=mask_file,
            data={"organ": "kidney"},
            headers={"Prefer": "respond-async"},
        ).json()
        begun = threading.Event()
        clients = [
            threading.Thread(target=follow, args=(accepted["links"]["events"], begun)),
            threading.Thread(target=post),
        ]
        for each in clients:
            each.start()
        assert begun.wait(PATIENCE_S)
        while this._service.jobs.queued()[1:] == []:
            assert clients[1].is_alive()
    this.handle_exit(signal.SIGINT, None)
    for each in clients:
        each.join(PATIENCE_S)
    go_on.set()
    thread.join(PATIENCE_S)
    stream, answer = sorted(answers, key=lambda answer: not isinstance(answer, list))
    assert "event: job" in stream
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"


def test_a_client_that_goes_away_takes_no_job_along(serving, mask_file, busy, go_on):
    this, _, address = serving()
    url = httpx2.URL(address)
    request = httpx2.Request(
        "POST", f"{address}/synthesize", files=mask_file, data={"organ": "kidney"}
    )
    with socket.create_connection((url.host, url.port), PATIENCE_S) as client:
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        client.sendall(f"POST /synthesize HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        (job_id,) = until(lambda: this._service.jobs.queued())
    go_on.set()
    with httpx2.Client(base_url=address, timeout=PATIENCE_S) as client:
        client.get(f"/jobs/{job_id}/events")
        assert client.get(f"/jobs/{job_id}").json()["status"] == "succeeded"


def test_impatience_stops_what_runs_in_order_all_the_same(serving, mask_file, busy, go_on, caplog):
    this, thread, address = serving()
    stopped = threading.Event()
    stop = this._service.queue.stop
    this._service.queue.stop = lambda: (stop(), stopped.set())
    with (
        httpx2.Client(base_url=address, timeout=PATIENCE_S) as client,
        client.stream("GET", "/healthz"),  # so that there is somebody to wait for
    ):
        for _ in range(2):
            this.handle_exit(signal.SIGINT, None)
        assert this.force_exit
        go_on.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert stopped.is_set()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"])
def test_how_it_is_run(monkeypatch, tmp_path, checkpoint, trusted):
    """The log has its format before anything is logged, and only proxies that were named say
    whom a request is from."""
    begun, configs = [], []

    class Ended:
        def __init__(self, config, service):
            configs.append(config)

        def run(self, sockets):
            begun.append("server")

    def create(*args, **options):
        begun.append("app")
        return create_app(*args, **options)

    monkeypatch.setattr(server.logs, "configure", begun.append)
    monkeypatch.setattr(server, "create_app", create)
    monkeypatch.setattr(server, "_Server", Ended)
    settings = Settings.load(
        checkpoint=checkpoint, data_dir=tmp_path, trusted_proxies=trusted, log_format="json"
    )
    server.run(settings, host="127.0.0.1", port=0)
    assert begun == ["json", "app", "server"]
    assert configs[0].forwarded_allow_ips == trusted
    assert issubclass(configs[0].http, server.connections.BoundedProtocol)


@pytest.mark.parametrize(
    ("trusted", "limited"),
    [("", False), ("127.0.0.1", True), ("10.0.0.0/8", False)],
    ids=["nobody", "the proxy", "another"],
)
def test_only_a_trusted_proxy_says_whom_a_request_is_from(serving, mask_file, trusted, limited):
    """By X-Forwarded-For two clients of it have a rate limit each; of anybody else it is a lie."""
    _, _, address = serving(rate_limit="1/hour", trusted_proxies=trusted)
    with httpx2.Client(base_url=address, timeout=PATIENCE_S) as client:
        statuses = [
            client.post(
                "/synthesize",
                files=mask_file,
                data={"organ": "kidney"},
                headers={"X-Forwarded-For": origin},
            ).status_code
            for origin in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
        ]
    assert statuses == ([200, 200, 429] if limited else [200, 429, 429])
