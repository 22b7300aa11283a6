from model.checkpoint import read_card
from model.errors import StoreUnavailable
from worker.health import Health


def test_alive_before_ready(start, busy):
    client = start()
    assert client.get("/healthz").json() == {"status": "ok"}
    refusal = client.get("/readyz")
    assert refusal.status_code == 503
    assert refusal.json()["code"] == "not_ready"
    assert refusal.headers["Retry-After"] == "1"
    assert client.get("/styles/kidney/thumbnail").json()["code"] == "not_ready"


def test_ready_when_the_network_is_warm(client, mask_file):
    client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checkpoint": "small", "waiting": 0}


def test_not_ready_with_a_reason(client, mask_file, monkeypatch):
    service = client.app.state.service
    client.post("/synthesize", files=mask_file, data={"organ": "kidney"})
    assert client.get("/readyz").status_code == 200

    def away():
        raise StoreUnavailable("Redis does not answer.", retry_after_s=5)

    with monkeypatch.context() as patch:
        patch.setattr(service.queue, "health", lambda: Health(False, "No worker is running."))
        check_not_ready(client, "No worker is running.")
    with monkeypatch.context() as patch:
        patch.setattr(service.jobs, "counts", away)
        check_not_ready(client, "Redis does not answer.")
    assert client.get("/readyz").status_code == 200
    service.stopping.set()
    check_not_ready(client, "The server is stopping.")
    assert client.get("/healthz").status_code == 200


def check_not_ready(client, reason):
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert (response.json()["code"], response.json()["detail"]) == ("not_ready", reason)


def test_the_card(client, checkpoint):
    card = read_card(checkpoint)
    document = client.get("/model").json()
    assert document == {name: card.raw[name] for name in document}
    assert document["sha256"] == card.sha256
    assert document["styles"]["kidney"] == card.styles["kidney"]
