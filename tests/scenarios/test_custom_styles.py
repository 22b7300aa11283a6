"""Custom styles on real servers: one that does it all, and a deployment on Redis."""

import signal

import pytest

from tests.fakes import style_png

IMAGE = style_png(120)


def keep(server, name, image=IMAGE, **options):
    response = server.client.post("/styles", files={"style": image}, data={"name": name}, **options)
    assert response.status_code in (200, 202), response.text
    return response


def test_kept_by_one_process_it_outlives_a_kill(serve, small_mask):
    server = serve()
    server.wait_until_ready()
    kept = keep(server, "ward-3").json()
    sent = server.synthesize(small_mask, style=IMAGE, seed=5).content
    server.stop(signal.SIGKILL)

    server = serve()
    server.wait_until_ready()
    assert server.client.get("/styles/ward-3").json() == kept
    assert server.synthesize(small_mask, organ="ward-3", seed=5).content == sent


def test_accepted_before_a_kill_it_is_kept_after_it(serve):
    server = serve()
    job = keep(server, "ward-3", headers={"Prefer": "respond-async"}).headers["Location"]
    server.stop(signal.SIGKILL)

    server = serve()
    assert server.finished(job)["links"]["style"] == "/styles/ward-3"
    assert server.client.get("/styles/ward-3").status_code == 200


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_in_a_deployment_every_front_end_has_it(front, work, small_mask, place, request):
    settings = {}
    if place == "s3":
        s3 = request.getfixturevalue("own_s3")
        settings = {"artifacts_url": s3.url("styles"), "environment": s3.environment}
    first, second = front(**settings), front(**settings)
    work(**settings).wait_until_ready()
    kept = keep(first, "ward-3").json()
    assert second.client.get("/styles/ward-3").json() == kept
    named = second.synthesize(small_mask, organ="ward-3", seed=5)
    assert named.content == first.synthesize(small_mask, style=IMAGE, seed=5).content
    mixed = first.synthesize(small_mask, styles='{"ward-3": 1, "kidney": 1}', seed=5)
    again = second.synthesize(small_mask, styles='{"ward-3": 1, "kidney": 1}', seed=5)
    assert mixed.content == again.content != named.content
    assert first.client.delete("/styles/ward-3").status_code == 204
    assert second.synthesize(small_mask, organ="ward-3").json()["code"] == "style_unknown"
