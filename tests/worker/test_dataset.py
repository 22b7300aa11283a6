"""Datasets in a folder: what they hold, in every format, and that they are taken up again."""

import hashlib
import io
import json
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from model.errors import FileUnwritable, ParameterInvalid, StyleUnknown
from model.formats import SUFFIXES, read_mask
from model.images import read_image
from model.styles import StyleBank
from model.synthesizer import Synthesizer
from worker.dataset.folder import DatasetFolder
from worker.dataset.request import DatasetRequest, usual_organs
from worker.dataset.tile import OF_ALL, paint

FORMATS = ("coco", "pannuke", "geojson", "mat", "xml", "tiff", "npy")
REQUEST = DatasetRequest(
    count=7, organs={"kidney": 2.0, "liver": 1.0}, height=64, width=80, seed=5, formats=FORMATS
)


@pytest.fixture(scope="module")
def network(checkpoint) -> Synthesizer:
    return Synthesizer.load(checkpoint)


@pytest.fixture(scope="module")
def made(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "dataset"
    folder(path, network).make(network, lambda done: None)
    return path


def folder(path, network) -> DatasetFolder:
    return DatasetFolder(path, REQUEST, checkpoint_sha256=network.card.sha256)


def files(path) -> dict[str, bytes]:
    found = (file for file in path.rglob("*") if file.is_file() and file.name[0] != ".")
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


def masks(path) -> list[np.ndarray]:
    return [read_mask((path / f"masks/{k:06d}.png").read_bytes()) for k in range(REQUEST.count)]


def test_images_and_masks_have_equal_names_and_sizes(made):
    names = [f"{k:06d}.png" for k in range(7)]
    assert sorted(file.name for file in (made / "images").iterdir()) == names
    assert sorted(file.name for file in (made / "masks").iterdir()) == names
    for name in names:
        with Image.open(made / "images" / name) as image, Image.open(made / "masks" / name) as mask:
            assert image.size == mask.size == (80, 64)
            assert image.text["synthetic"] == "true"
    assert len({(made / "images" / name).read_bytes() for name in names}) == 7
    assert len({(made / "masks" / name).read_bytes() for name in names}) == 7


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in OF_ALL])
def test_every_id_is_in_every_annotation(made, format):
    for k, mask in enumerate(masks(made)):
        data = (made / f"{format}/{k:06d}{SUFFIXES[format]}").read_bytes()
        size = {"size": (64, 80)} if format in ("geojson", "xml") else {}
        np.testing.assert_array_equal(read_mask(data, **size), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
def test_loads_in_pycocotools(made):
    with redirect_stdout(io.StringIO()):
        coco = COCO(made / "coco.json")
    assert sorted(coco.getImgIds()) == list(range(1, 8))
    assert len(coco.anns) == sum(mask.max() for mask in masks(made))
    for k, mask in enumerate(masks(made)):
        (image,) = coco.loadImgs(k + 1)
        assert (made / image["file_name"]).is_file()
        drawn = np.zeros_like(mask)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=k + 1)):
            drawn[coco.annToMask(annotation) > 0] = annotation["instance_id"]
        np.testing.assert_array_equal(drawn, mask)


def test_loads_as_pannuke_arrays(made):
    images, stacked, types = (
        np.load(made / f"pannuke/{name}.npy") for name in ("images", "masks", "types")
    )
    assert (images.shape, stacked.shape) == ((7, 64, 80, 3), (7, 64, 80, 6))
    for k, mask in enumerate(masks(made)):
        np.testing.assert_array_equal(
            images[k], read_image((made / f"images/{k:06d}.png").read_bytes())
        )
        np.testing.assert_array_equal(stacked[k, ..., 0], mask)
        np.testing.assert_array_equal(stacked[k, ..., 5], mask == 0)
        assert types[k] == REQUEST.organ(k)


def test_loads_like_folders_of_cellpose_and_stardist(made):
    """Pairs of images and label images with equal names, read with no library of ours."""
    pairs = [
        (np.asarray(Image.open(file)), np.asarray(Image.open(made / "masks" / file.name)))
        for file in sorted((made / "images").glob("*.png"))
    ]
    for image, labels in pairs:
        assert image.shape == (*labels.shape, 3)
        ids = np.unique(labels)
        assert ids.tolist() == list(range(len(ids)))  # as StarDist wants them: 0, 1, 2, ...


def test_sums_verify_and_name_every_file(made):
    lines = (made / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert set(sums) == set(files(made)) - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((made / name).read_bytes()).hexdigest() == digest


def test_the_manifest_and_the_card_count(made):
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["synthetic"] is True
    assert manifest["tiles"] == {"kidney": 5, "liver": 2}
    assert manifest["nuclei"] == sum(int(mask.max()) for mask in masks(made))
    assert DatasetRequest.from_json(json.dumps(manifest["request"])) == REQUEST
    card = (made / "README.md").read_text()
    for text in ("7 tiles of 80 x 64 px", "All of it is synthetic", "| kidney | 5 |", "Licence"):
        assert text in card


def test_provenance_names_what_a_tile_came_from(made, network):
    for k in range(7):
        facts = json.loads((made / f"provenance/{k:06d}.json").read_text())
        assert facts["organ"] == REQUEST.organ(k)
        assert facts["checkpoint_sha256"] == network.card.sha256
        mask = REQUEST.mask(k).draw(max_side=1024)
        assert facts["mask_seed"] == REQUEST.mask(k).seed
        style = network.styles.pick(facts["organ"], facts["seed"])
        expected = network.synthesize(mask, style, seed=facts["seed"])
        np.testing.assert_array_equal(
            read_image((made / f"images/{k:06d}.png").read_bytes()), expected
        )


def test_goes_on_where_it_was_stopped_with_the_same_bytes(made, network, tmp_path):
    class Stop(Exception):
        pass

    def stop(done):
        if done in (3, 5):
            raise Stop

    painted = []
    paint_tiles = network.paint
    network.paint = lambda tiles, **options: painted.extend(tiles) or paint_tiles(tiles, **options)
    path = tmp_path / "stopped"
    try:
        with pytest.raises(Stop):
            folder(path, network).make(network, stop)
        (path / "provenance/000001.json").unlink()  # as if killed before it was written
        (path / "images/000006.png").write_bytes(b"half")
        folder(path, network).make(network, lambda done: None)
    finally:
        del network.paint
    assert files(path) == files(made)
    assert len(painted) < 2 * REQUEST.count
    before = len(painted)
    folder(path, network).make(network, lambda done: None)
    assert len(painted) == before


def test_it_goes_on_after_a_kill_and_says_what_has_gone_since(network, tmp_path):
    now = folder(tmp_path / "made", network)
    now.make(network, lambda done: None)
    half = now.path / "images" / ".000001.png.0011aabb.tmp"
    half.write_bytes(b"half")
    now.make(network, lambda done: None)
    assert not half.exists()
    (now.path / "masks" / "000001.png").unlink()
    with pytest.raises(ParameterInvalid, match=r"Delete .*provenance/000001\.json"):
        now.make(network, lambda done: None)
    (now.path / "provenance" / "000001.json").unlink()
    now.make(network, lambda done: None)
    assert (now.path / "masks" / "000001.png").is_file()


def test_a_folder_with_something_else_is_left_alone(made, network, tmp_path):
    ours = {"checkpoint_sha256": network.card.sha256}
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ParameterInvalid, match="holds other files"):
        DatasetFolder(tmp_path, REQUEST, **ours)
    with pytest.raises(ParameterInvalid, match="holds another dataset"):
        DatasetFolder(made, replace(REQUEST, seed=6), **ours)
    with pytest.raises(ParameterInvalid, match="another checkpoint"):
        DatasetFolder(made, REQUEST, checkpoint_sha256="of another")
    with pytest.raises(FileUnwritable, match="cannot be written"):
        DatasetFolder(tmp_path / "mine.txt" / "below", REQUEST, **ours)


def test_organs_have_their_part():
    request = DatasetRequest(count=100, organs={"kidney": 5, "liver": 3, "colon": 0, "breast": 2})
    organs = [request.organ(k) for k in range(100)]
    assert Counter(organs) == {"kidney": 50, "liver": 30, "breast": 20}
    assert organs != sorted(organs)
    assert organs == [DatasetRequest.from_json(request.to_json()).organ(k) for k in range(100)]
    thirds = DatasetRequest(count=10, organs={"kidney": 1, "liver": 1, "colon": 1})
    assert sorted(Counter(thirds.organ(k) for k in range(10)).values()) == [3, 3, 4]


def test_neighbouring_seeds_share_no_tile():
    one, other = (DatasetRequest(count=50, organs={"kidney": 1}, seed=seed) for seed in (1, 2))
    seeds = [request.tile_seed(k) for request in (one, other) for k in range(50)]
    seeds += [request.mask(k).seed for request in (one, other) for k in range(50)]
    assert len(set(seeds)) == 200


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": 100_001}, "count is 100001"),
        ({"height": 63}, "height is 63"),
        ({"width": 1025}, "width is 1025"),
        ({"seed": -1}, "seed is -1"),
        ({"organs": {}}, "No organ has a weight above 0"),
        ({"organs": {"kidney": 0}}, "No organ has a weight above 0"),
        ({"organs": {"kidney": -1}}, "weight of 'kidney' is -1"),
        ({"organs": {"kidney": float("nan")}}, "weight of 'kidney' is nan"),
        ({"organs": {"spleen": 1}}, "which 'spleen' has not"),
        ({"organs": {"pooled": 1}}, "which 'pooled' has not. Choose from bladder"),
        ({"formats": ("gif",)}, "no mask format 'gif'"),
    ],
)
def test_wishes_that_cannot_be_met(changes, said):
    with pytest.raises(ParameterInvalid, match=said):
        replace(REQUEST, **changes)


def test_an_organ_without_a_preset_is_refused(network):
    request = replace(REQUEST, organs={"bladder": 1})
    with pytest.raises(StyleUnknown):
        request.check_styles(network.styles)


def test_presets_whose_nuclei_are_unknown_are_not_asked_for_unless_named():
    style = np.zeros((1, 4), np.float32)
    bank = StyleBank({"lung": style, "liver": style, "breast": style})
    assert usual_organs(bank) == {"breast": 1.0, "liver": 1.0}


def test_a_tile_does_not_depend_on_those_painted_with_it(network):
    alone = {tile.index: tile.files for k in (2, 4) for tile in paint(network, REQUEST, [k])}
    together = {tile.index: tile.files for tile in paint(network, REQUEST, [4, 1, 2])}
    assert alone == {k: together[k] for k in (2, 4)}
