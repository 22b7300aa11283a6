"""From a training run to networks that can be used: averaged, settled, and plain."""

from collections.abc import Sequence

import torch

from model.encoder import StyleEncoder
from model.pixels import channels_last, place, u8_to_pm1
from training.data.crops import CropDataset, LoadedSlide
from training.ema import reestimate_batch_norm
from training.networks import AnyGenerator, build
from training.noise import draw_noise
from training.spectral import add_spectral_norm, remove_spectral_norm
from training.step import Stepper


def finished_networks(
    stepper: Stepper, slides: Sequence[LoadedSlide]
) -> tuple[AnyGenerator, StyleEncoder]:
    """Copies of the averaged generator and encoder, in evaluation mode. Their batch norm
    statistics come from ``slides``, the training slides. The stepper is left as it was."""
    generator, encoder = _averaged(stepper)
    encoder.eval()
    _settle_batch_norm(generator, encoder, slides, stepper)
    return remove_spectral_norm(generator), remove_spectral_norm(encoder)


def _averaged(stepper: Stepper) -> tuple[AnyGenerator, StyleEncoder]:
    """Copies of the averaged networks as plain modules.

    Built anew and not copied: under torchrun the trained ones synchronise their batch norm with
    processes that take no part in the export.
    """
    config, device = stepper.config, stepper.process.device
    generator, encoder = build(config.network)
    if config.generator_spectral_norm:
        generator, encoder = add_spectral_norm(generator), add_spectral_norm(encoder)
    generator.load_state_dict(stepper.ema_generator.module.state_dict())
    encoder.load_state_dict(stepper.ema_encoder.module.state_dict())
    return place(generator, device), place(encoder, device)


def _settle_batch_norm(
    generator: AnyGenerator, encoder: StyleEncoder, slides: Sequence[LoadedSlide], stepper: Stepper
) -> None:
    """Batch norm statistics of the averaged weights, on real layouts of the served size."""
    config = stepper.config
    device = stepper.process.device
    served = config.with_options(
        crop_px=config.bn_px,
        stain_jitter=0.0,
        sampling="random",
        median_blur=0.0,
        rotation="quarter",  # any turn would need larger slides than the run did
    )
    dataset = CropDataset(slides, served)
    source = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)  # for dropout

    def forward(first: object) -> object:
        assert isinstance(first, int)
        samples = [dataset[first * config.batch_size + k] for k in range(config.batch_size)]
        layout = channels_last(torch.stack([s["layout"] for s in samples]).to(device))
        style = encoder.encode(u8_to_pm1(torch.stack([s["style"] for s in samples])).to(device))
        nuclei = torch.stack([s["nuclei"] for s in samples]) if "nuclei" in samples[0] else None
        noise = draw_noise(
            generator, layout, nuclei, lambda shape: torch.randn(shape, generator=source)
        )
        return generator(layout, style, [plane.to(device) for plane in noise])

    reestimate_batch_norm(generator, range(config.bn_batches), forward)
    generator.eval()
