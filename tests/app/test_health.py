from model.checkpoint import read_card


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


def test_the_card(client, checkpoint):
    card = read_card(checkpoint)
    document = client.get("/model").json()
    assert document == {name: card.raw[name] for name in document}
    assert document["sha256"] == card.sha256
    assert document["styles"]["kidney"] == card.styles["kidney"]
