"""A full queue says so and when to come back; what was accepted is done."""

ASYNC = {"Prefer": "respond-async"}


def test_a_full_queue(serve, small_mask):
    server = serve(queue_limit=2)
    server.wait_until_ready()
    accepted, refused = [], None
    while refused is None:
        response = server.synthesize(small_mask, headers=ASYNC, organ="kidney", n=16)
        if response.status_code == 202:
            accepted.append(response.headers["Location"])
        else:
            refused = response
    assert 2 <= len(accepted) <= 4
    assert refused.status_code == 429
    assert refused.json()["code"] == "queue_full"
    assert int(refused.headers["Retry-After"]) >= 1
    for path in accepted:
        assert server.finished(path)["status"] == "succeeded"
    assert server.synthesize(small_mask, organ="kidney").status_code == 200
