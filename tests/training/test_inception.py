"""Inception features: the network's weights, their folding, and the cache of what it gave."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from model.errors import WeightsMissing
from training.data.monuseg import read_dataset
from training.metrics.inception import Inception, fold_batch_norm

WEIGHTS = "inception_2015_to_mixed_7a_fp16.safetensors"


@pytest.fixture(scope="module")
def inception(test_data: Path) -> Inception:
    return Inception.load(test_data / "weights" / WEIGHTS)


@pytest.fixture(scope="module")
def tiles(monuseg: Path) -> list[NDArray[np.uint8]]:
    slides = [slide for slide in read_dataset(monuseg) if slide.split == "test"]
    return [slide.image()[:256, :256] for slide in slides[:5]]


def test_folding_equals_convolution_then_batch_norm() -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 5, 3, bias=False)
    norm = torch.nn.BatchNorm2d(5, eps=1e-3).eval()
    with torch.no_grad():
        for tensor in (norm.weight, norm.running_var):
            tensor.uniform_(0.2, 2)
        for tensor in (norm.bias, norm.running_mean):
            tensor.normal_()
    state = {"layer.conv.weight": convolution.weight.detach(), "fc.weight": torch.zeros(3, 3)}
    state |= {f"layer.bn.{name}": value for name, value in norm.state_dict().items()}
    folded = fold_batch_norm(state)
    assert set(folded) == {"layer.conv.weight", "layer.conv.bias"}
    image = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        expected = norm(convolution(image))
        actual = F.conv2d(image, folded["layer.conv.weight"], folded["layer.conv.bias"])
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_files_that_are_not_the_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"nothing\.pth"):
        Inception.load(tmp_path / "nothing.pth")
    for name in ("broken.safetensors", "broken.pth"):
        (tmp_path / name).write_bytes(b"<html>404</html>")
        with pytest.raises(WeightsMissing, match="cannot be read"):
            Inception.load(tmp_path / name)
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsMissing, match=r"lack Mixed_7a"):
        Inception.load(tmp_path / "other.pth")
    torch.save({"layer.conv.weight": torch.zeros(1, 1, 1, 1)}, tmp_path / "no-norm.pth")
    with pytest.raises(WeightsMissing, match="cannot be read"):
        Inception.load(tmp_path / "no-norm.pth")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "it-ran",)

    torch.save({"layer": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsMissing, match="cannot be read"):
        Inception.load(tmp_path / "trap.pth")
    assert not (tmp_path / "it-ran").exists()


def test_features(inception: Inception, tiles: list[NDArray[np.uint8]]) -> None:
    counted: list[int] = []
    features = inception.features(tiles, batch_size=2, advance=counted.append)
    assert counted == [2, 2, 1]
    assert {dims: rows.shape for dims, rows in features.items()} == {
        768: (5, 768),
        1280: (5, 1280),
    }
    for rows in features.values():
        assert rows.dtype == np.float64
        assert (rows >= 0).all()
        assert np.isfinite(rows).all()
    # Means of the same five tiles in an independent implementation of the network
    # (torch-fidelity 0.4.0's blocks) with these weights, resized as stated.
    assert features[768].mean() == pytest.approx(0.03898774595, rel=1e-4)
    assert features[1280].mean() == pytest.approx(0.13674254522, rel=1e-4)


def test_a_tile_has_the_same_features_in_any_company(
    inception: Inception, tiles: list[NDArray[np.uint8]]
) -> None:
    together = inception.features(tiles, batch_size=5)[768]
    alone = inception.features(tiles[3:4])[768]
    np.testing.assert_allclose(together[3:4], alone, atol=1e-5)
    assert np.abs(together[2] - together[3]).max() > 0.05


def test_nothing_in_nothing_out(inception: Inception) -> None:
    assert inception.features([])[768].shape == (0, 768)


def test_an_unfolded_official_file_gives_the_same(
    inception: Inception, tiles: list[NDArray[np.uint8]], test_data: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    state: dict[str, torch.Tensor] = {"fc.weight": torch.zeros(1008, 2048)}
    for name, tensor in load_file(test_data / "weights" / WEIGHTS).items():
        layer, kind = name.split(".conv.")
        if kind == "weight":
            state[name] = tensor.float() / 2
            count = len(tensor)
            # Scale 2 / sqrt(var + eps) * ... = 2: undoes the halving.
            state[f"{layer}.bn.weight"] = torch.full((count,), 2.0)
            state[f"{layer}.bn.running_var"] = torch.full((count,), 1 - 1e-3)
            state[f"{layer}.bn.running_mean"] = torch.full((count,), 0.25)
            state[f"{layer}.bn.num_batches_tracked"] = torch.tensor(0)
        else:
            state[f"{layer}.bn.bias"] = tensor.float() + 0.5
    torch.save(state, tmp_path / "official.pth")
    official = Inception.load(tmp_path / "official.pth")
    for dims, rows in official.features(tiles[:2]).items():
        np.testing.assert_allclose(rows, inception.features(tiles[:2])[dims], atol=1e-4)
