"""Generator and encoders: sizes, shapes, and what the presets promise."""

import pytest
import torch

from model.config import PRESETS, NetworkConfig
from model.encoder import build_encoder
from model.errors import CheckpointMismatch
from model.generator import Generator
from tests.networks import TINY, TINY_BY_NUCLEUS
from tests.threads import threads


def inputs(
    config: NetworkConfig, height: int, width: int, batch: int = 1
) -> tuple[Generator, torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(0)
    generator = Generator(config).eval()
    channels = 5 if config.direction == "sign" else 19
    layout, style = torch.rand(batch, channels, height, width), torch.randn(batch, config.style_dim)
    noise = [torch.randn(batch, *shape) for shape in generator.noise_shapes(height, width)]
    return generator, layout, style, noise


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def test_paper_preset_has_the_size_of_the_network_as_written() -> None:
    with torch.device("meta"):
        generator = Generator(PRESETS["paper"])
        encoder = build_encoder(PRESETS["paper"])
    assert millions(generator) == pytest.approx(146, rel=0.01)
    assert millions(encoder) == pytest.approx(10.5, rel=0.01)  # SPADE's encoder at 256 px


def test_release_preset_fits_its_file() -> None:
    with torch.device("meta"):
        size = millions(Generator(PRESETS["release"])) + millions(build_encoder(PRESETS["release"]))
    assert size * 2 < 24  # MB as float16


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 80), (256, 64)])
def test_any_multiple_of_the_stride_works(height: int, width: int) -> None:
    generator, layout, style, noise = inputs(TINY, height, width)
    image = generator(layout, style, noise)
    assert image.shape == (1, 3, height, width)
    assert image.abs().max() <= 1


def test_paper_style_start_works_beyond_256() -> None:
    config = NetworkConfig(
        widths=(8,) * 7, upsample_after=(1, 2, 3, 4, 5, 6), start="style", branch_filters=4,
        encoder="spade", style_features=5, coarse_semantic="nearest", padding="zeros",
        noise=False, colour_head=False, direction="bins",
    )  # fmt: skip
    for height, width in ((256, 256), (128, 320)):
        generator, layout, style, noise = inputs(config, height, width)
        assert noise == []
        assert generator(layout, style).shape == (1, 3, height, width)


def test_a_distant_change_of_the_layout_stays_local() -> None:
    """Fully convolutional: far from a changed nucleus nothing changes at all."""
    generator, layout, style, noise = inputs(TINY, 64, 768)
    changed = layout.clone()
    changed[..., :16] = 1 - changed[..., :16]
    before, after = generator(layout, style, noise), generator(changed, style, noise)
    assert not torch.equal(before[..., :32], after[..., :32])
    torch.testing.assert_close(before[..., -64:], after[..., -64:], rtol=0, atol=0)


def test_bands_of_rows_join_without_a_trace() -> None:
    """Where no gradient is wanted the last stage runs in bands; the result is the same."""
    generator, layout, style, noise = inputs(TINY, 608, 32, batch=2)
    whole = generator(layout, style, noise)
    assert whole.requires_grad
    with torch.inference_mode():
        banded = generator(layout, style, noise)
    torch.testing.assert_close(banded, whole, rtol=0, atol=1e-5)


def test_noise_and_style_matter_and_items_of_a_batch_do_not_mix() -> None:
    generator, layout, style, noise = inputs(TINY, 64, 64, batch=2)
    both = generator(layout, style, noise)
    alone = generator(layout[1:], style[1:], [plane[1:] for plane in noise])
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)
    other_noise = [plane.flip(0) for plane in noise]
    assert not torch.allclose(both, generator(layout, style, other_noise), atol=1e-3)
    assert not torch.allclose(both, generator(layout, style.flip(0), noise), atol=1e-3)


def test_the_value_of_a_nucleus_is_seen_there_and_not_far_away() -> None:
    generator, layout, style, noise = inputs(TINY_BY_NUCLEUS, 64, 768)
    plane = torch.zeros(1, 1, 64, 768)
    plane[..., 20:40, 4:30] = 1.5
    none, one = (generator(layout, style, [*noise, each]) for each in (plane * 0, plane))
    assert (none - one)[..., 20:40, 4:30].abs().max() > 1e-3
    torch.testing.assert_close(none[..., -64:], one[..., -64:], rtol=0, atol=0)


@pytest.mark.parametrize("preset", ["paper", "release"])
def test_encoders_take_any_image_from_64_px(preset: str) -> None:
    torch.manual_seed(0)
    config = PRESETS[preset]
    encoder = build_encoder(config).eval()
    for height, width in ((64, 64), (200, 333)):
        assert encoder.encode(torch.rand(2, 3, height, width) * 2 - 1).shape == (
            2,
            config.style_dim,
        )


@pytest.mark.parametrize("preset", ["paper", "release"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (200, 256), (256, 200), (256, 256)])
def test_a_style_vector_is_the_same_on_any_number_of_threads(
    preset: str, height: int, width: int
) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(PRESETS[preset]).eval()
    image = torch.rand(1, 3, height, width) * 2 - 1
    with torch.inference_mode():
        with threads(1):
            expected = encoder.encode(image)
        for count in (2, 3, 4, 8):
            with threads(count):
                assert torch.equal(encoder.encode(image), expected)


def test_the_colour_encoder_keeps_what_instance_normalisation_removes() -> None:
    """A shift of one channel is a change of stain: SPADE's encoder hardly sees it."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 128, 128) - 0.5
    shifted = image + torch.tensor([0.3, 0.0, -0.3]).view(1, 3, 1, 1)
    change = {}
    for preset in ("paper", "release"):
        encoder = build_encoder(PRESETS[preset]).eval()
        plain, moved = encoder.encode(image), encoder.encode(shifted)
        change[preset] = ((moved - plain).norm() / plain.norm()).item()
    assert change["paper"] < 0.1 < 0.3 < change["release"]


def test_sampling_a_style_adds_noise_to_the_learned_part_only() -> None:
    torch.manual_seed(0)
    encoder = build_encoder(TINY).eval()
    image = torch.rand(1, 3, 64, 64)
    drawn, mean, log_variance = encoder.sample(image, torch.ones(1, 6))
    torch.testing.assert_close(drawn[:, :6], mean + (0.5 * log_variance).exp())
    torch.testing.assert_close(drawn[:, 6:], encoder.encode(image)[:, 6:])


def test_configuration_survives_its_card() -> None:
    for config in PRESETS.values():
        assert NetworkConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    "change",
    [
        {"unheard_of": 1},
        {"upsample_after": [9]},
        {"upsample_after": [3, 4, 5]},
        {"encoder": "spade"},
        {"padding": "mirror"},
        {"nucleus_noise": True, "noise": False},
        {"nucleus_noise": True, "instantiation": False},
    ],
)
def test_a_card_that_describes_no_network_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CheckpointMismatch):
        NetworkConfig.from_dict(TINY.to_dict() | change)


def test_an_incomplete_card_is_refused() -> None:
    values = TINY.to_dict()
    del values["widths"]
    with pytest.raises(CheckpointMismatch, match="widths"):
        NetworkConfig.from_dict(values)
