"""Inception features: the network's weights, their folding, and the cache of what it gave."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from model.errors import WeightsMissing
from tests.training.random_inception import RandomInception
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
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    for name in ("no-norm.pth", "list.pth"):
        with pytest.raises(WeightsMissing, match="cannot be read"):
            Inception.load(tmp_path / name)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "it-ran",)

    torch.save({"layer": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsMissing, match="cannot be read"):
        Inception.load(tmp_path / "trap.pth")
    assert not (tmp_path / "it-ran").exists()


def test_the_whole_network_is_the_published_one() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 38, 38, 3), dtype=np.uint8)
    images = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :299, :299]
    network = RandomInception()
    expected = network(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    folded = fold_batch_norm(network.state)
    features = Inception(folded).features(images)
    assert list(features) == [768, 1280, 2048]
    for dims, rows in features.items():
        assert rows.shape == (2, dims)
        assert np.abs(rows[0] - rows[1]).mean() > 0.01
        np.testing.assert_allclose(rows, expected[dims].numpy(), rtol=1e-3, atol=1e-3)
    part = {name: w for name, w in folded.items() if not name.startswith(("Mixed_7b", "Mixed_7c"))}
    partial = Inception(part)
    assert partial.fingerprint != Inception(folded).fingerprint
    for dims, rows in partial.features(images).items():
        np.testing.assert_array_equal(rows, features.pop(dims))
    assert list(features) == [2048]


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
    empty = inception.features([])
    assert {dims: rows.shape for dims, rows in empty.items()} == {768: (0, 768), 1280: (0, 1280)}


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
