"""Jobs for styles, and jobs for tiles that use what those have kept."""

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model.synthesizer import Synthesizer
from tests.fakes import FakeSynthesizer, mask_png, style_png
from tests.worker.engines import lose_worker, state
from worker import custom_styles
from worker.custom_styles import CustomStyle, CustomStyles
from worker.inputs import CUSTOM_STYLES, MASK, STYLE
from worker.job_request import StyleRequest, request_from_json
from worker.jobs import JobState, new_job_id
from worker.request import SynthesisRequest, sha256
from worker.style import Style

IMAGE = style_png()


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.fixture
def kept(artifacts, synthesizer):
    return CustomStyles(artifacts, synthesizer.card, limit=100)


@pytest.fixture
def send(jobs, artifacts):
    """Stores a request with its files, as the service does; the job's id."""

    def send(request, **files):
        job_id = new_job_id()
        for name, data in files.items():
            artifacts.put(job_id, name, data)
        return jobs.create(job_id, request, limit=100).id

    return send


@pytest.fixture
def encode(send):
    def encode(image=IMAGE, **changes):
        return send(StyleRequest(image_sha256=sha256(image), **changes), **{STYLE: image})

    return encode


def test_encodes_an_image(engine, jobs, artifacts, synthesizer, encode, kept):
    job_id = encode()
    assert engine.run(job_id)
    job = jobs.get(job_id)
    (output,) = job.outputs
    data = artifacts.get(job_id, "0.style.json")
    assert job.state is JobState.SUCCEEDED
    assert (output.seed, output.suffix) == (None, ".style.json")
    assert output.sha256 == hashlib.sha256(data).hexdigest()
    style = CustomStyle.from_file(data)
    np.testing.assert_array_equal(style.vector, synthesizer.encode_style(pixels(IMAGE)))
    manifest = json.loads(artifacts.get(job_id, "0.json"))
    assert manifest["image_sha256"] == sha256(IMAGE)
    assert manifest["checkpoint_sha256"] == synthesizer.card.sha256
    assert not artifacts.exists(job_id, STYLE)
    assert kept.names() == {}


def test_keeps_it_under_its_name(engine, jobs, encode, kept):
    job_id = encode(name="ward", mpp=0.5)
    engine.run(job_id)
    assert state(jobs, job_id) is JobState.SUCCEEDED
    assert kept.get("ward").mpp == 0.5


def test_the_later_of_two_with_one_name_fails(engine, jobs, encode, kept):
    first, second = encode(name="ward"), encode(style_png(seed=1), name="ward")
    engine.run(first)
    engine.run(second)
    assert jobs.get(second).failure.code == "style_name_taken"
    assert kept.get("ward").image_sha256 == sha256(IMAGE)


@pytest.fixture
def die_encoded(start, jobs, monkeypatch):
    """Runs a job on a worker that dies once the style is encoded, and before the job ends."""

    class Killed(BaseException):
        """As SIGKILL, not to be handled."""

    def die(*arguments):
        raise Killed

    def die_encoded(job_id):
        engine = start()
        with monkeypatch.context() as patch:
            patch.setattr(CustomStyles, "keep", die)
            patch.setattr(jobs, "finish", die)
            with pytest.raises(Killed):
                engine.run(job_id)
        assert jobs.reap(everything=True) == [job_id]
        assert len(jobs.get(job_id).outputs) == 1

    return die_encoded


def test_a_worker_that_dies_before_it_is_kept(start, jobs, encode, kept, die_encoded):
    """The next one keeps what is encoded already."""
    job_id = encode(name="ward")
    die_encoded(job_id)
    assert kept.names() == {}
    start().run(job_id)
    job = jobs.get(job_id)
    assert (job.state, len(job.outputs)) == (JobState.SUCCEEDED, 1)
    assert kept.names() == {"ward": True}


@pytest.mark.parametrize("name", ["ward", None])
def test_a_checkpoint_that_changes_before_it_is_kept(
    start, jobs, artifacts, checkpoint, encode, die_encoded, name
):
    """Its vector does not become one of the new checkpoint, and sending it again helps."""
    job_id = encode(name=name)
    die_encoded(job_id)
    changed = FakeSynthesizer(checkpoint)
    changed.card = replace(changed.card, sha256="0" * 64)
    engine, kept = start(changed), CustomStyles(artifacts, changed.card, limit=100)
    assert engine.run(job_id)
    failure = jobs.get(job_id).failure
    assert failure.code == "style_outdated"
    assert "Send its image to POST /styles again" in failure.message
    assert kept.names() == {}
    again = encode(name=name)
    assert engine.run(again)
    assert state(jobs, again) is JobState.SUCCEEDED
    if name is not None:
        assert kept.get(name).checkpoint_sha256 == changed.card.sha256


def test_a_canceled_job_keeps_nothing(engine, jobs, synthesizer, encode, kept, monkeypatch):
    job_id = encode(name="ward")
    encoded = synthesizer.encode

    def cancel_meanwhile(style_input):
        jobs.cancel(job_id)
        return encoded(style_input)

    monkeypatch.setattr(synthesizer, "encode", cancel_meanwhile)
    assert engine.run(job_id)
    assert state(jobs, job_id) is JobState.CANCELED
    assert kept.names() == {}


def test_a_kind_that_nobody_knows_fails_clearly(engine, jobs, send):
    text = json.dumps({"kind": "hologram", "depth": 3})
    job_id = send(request_from_json(text))
    assert jobs.get(job_id).request.to_json() == text
    assert engine.run(job_id)
    failure = jobs.get(job_id).failure
    assert failure.code == "job_kind_unknown"
    assert "'hologram'" in failure.message
    assert "style, tile" in failure.message


def test_a_bad_image_is_the_jobs_error(engine, jobs, encode):
    job_id = encode(b"no image")
    engine.run(job_id)
    assert jobs.get(job_id).failure.code == "style_unreadable"


# Tiles in custom styles


@pytest.fixture(scope="module")
def network(checkpoint) -> Synthesizer:
    return Synthesizer.load(checkpoint)


@pytest.fixture
def used(network, monkeypatch):
    """The style vectors that tiles were made with."""
    vectors, tile = [], network.tile

    def noting(layout, style, **more):
        vectors.append(style)
        return tile(layout, style, **more)

    monkeypatch.setattr(network, "tile", noting)
    return vectors


@pytest.fixture
def tiles(send, jobs, artifacts):
    """A request for tiles, run; its PNG and its manifest."""

    def tiles(engine, style, /, *, kept=None, seed=7, **files):
        mask = mask_png()
        if kept is not None:
            named = kept.of(style)
            references = {name: each.reference for name, each in named.items()}
            style = replace(style, custom=references)
            files[CUSTOM_STYLES] = custom_styles.to_file(named)
        request = SynthesisRequest(mask_sha256=sha256(mask), style=style, seed=seed)
        job_id = send(request, **{MASK: mask, **files})
        assert engine.run(job_id)
        assert state(jobs, job_id) is JobState.SUCCEEDED, jobs.get(job_id).failure
        assert not any(artifacts.exists(job_id, name) for name in request.inputs)
        return artifacts.get(job_id, "0.png"), json.loads(artifacts.get(job_id, "0.json"))

    return tiles


def test_the_bytes_are_those_of_the_image_sent_directly(start, encode, kept, tiles, network):
    engine = start(network)
    engine.run(encode(name="ward"))
    sent, of_image = tiles(engine, Style(image_sha256=sha256(IMAGE)), **{STYLE: IMAGE})
    named, of_name = tiles(engine, Style(name="ward"), kept=kept)
    assert named == sent
    assert of_name["style"] == of_image["style"] == {"image_sha256": sha256(IMAGE)}


def test_another_scale_is_told(start, encode, kept, tiles, network):
    engine = start(network)
    engine.run(encode(name="ward", mpp=0.5))
    _, manifest = tiles(engine, Style(name="ward"), kept=kept)
    assert manifest["style"] == {"image_sha256": sha256(IMAGE), "mpp": 0.5}


def test_a_mix_with_a_preset(start, encode, kept, tiles, network, used):
    engine = start(network)
    engine.run(encode(name="ward"))
    used.clear()
    weights = {"kidney": 1.0, "ward": 3.0}
    _, manifest = tiles(engine, Style(weights=weights), kept=kept)
    expected = 0.25 * network.styles.vector("kidney") + 0.75 * kept.get("ward").vector
    np.testing.assert_allclose(used[0], expected, rtol=1e-6)
    made_of = {"ward": {"image_sha256": sha256(IMAGE)}}
    assert manifest["style"] == {"weights": weights, "custom": made_of}


def test_a_deleted_style_is_there_for_jobs_that_have_it(engine, encode, kept, jobs, send):
    engine.run(encode(name="ward"))
    mask, named = mask_png(), kept.of(Style(name="ward"))
    style = Style(name="ward", custom={"ward": named["ward"].reference})
    request = SynthesisRequest(mask_sha256=sha256(mask), style=style, seed=1)
    files = {MASK: mask, CUSTOM_STYLES: custom_styles.to_file(named)}
    job_id = send(request, **files)
    lose_worker(jobs, job_id)
    kept.delete("ward")
    assert engine.run(job_id)
    assert state(jobs, job_id) is JobState.SUCCEEDED


def test_images_are_mixed_by_their_weights(start, tiles, network, used):
    images = [style_png(seed=k) for k in range(3)]
    engine = start(network)
    used.clear()
    files = {STYLE: images[0], "style-1": images[1], "style-2": images[2]}
    digests = [sha256(image) for image in images]
    mix = Style.of(images_sha256=digests, image_weights="[1, 2, 5]")
    _, manifest = tiles(engine, mix, **files)
    vectors = [network.encode_style(pixels(image)) for image in images]
    expected = sum(share * v for share, v in zip((0.125, 0.25, 0.625), vectors, strict=True))
    np.testing.assert_allclose(used[0], expected, rtol=1e-5, atol=1e-6)
    assert manifest["style"] == {
        "images": [
            {"image_sha256": digest, "weight": weight}
            for digest, weight in zip(digests, (1, 2, 5), strict=True)
        ]
    }


def test_all_the_weight_on_one_image_is_that_image(start, tiles, network):
    engine = start(network)
    images = [style_png(seed=k) for k in range(2)]
    first, second = map(sha256, images)
    mix = Style.of(images_sha256=[first, second], image_weights="[0, 4]")
    mixed, _ = tiles(engine, mix, **{STYLE: images[0], "style-1": images[1]})
    alone, _ = tiles(engine, Style(image_sha256=second), **{STYLE: images[1]})
    np.testing.assert_array_equal(pixels(mixed), pixels(alone))
