"""The MoNuSeg reader: both layouts, Aperio outlines, and files that are not what they should be."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import DataInvalid
from training.data.monuseg import Slide, read_dataset
from training.data.monuseg_xml import rasterise, read_regions

TRAIN_ID = "TCGA-18-5592-01Z-00-DX1"
TEST_ID = "TCGA-HT-8564-01Z-00-DX1"


def picture(side: int = 40) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def save(path: Path, array: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def save_xml(path: Path, outlines: list[list[tuple[float, float]]]) -> Path:
    regions = "".join(
        "<Region><Vertices>"
        + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in outline)
        + "</Vertices></Region>"
        for outline in outlines
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<Annotations><Annotation><Regions>{regions}</Regions></Annotation></Annotations>"
    )
    return path


def label_map_dataset(root: Path) -> None:
    for split, name in (("train", TRAIN_ID), ("test", TEST_ID)):
        save(root / split / "images" / f"{name}.png", picture())
        labels = np.zeros((40, 40), np.uint16)
        labels[3:6, 4:9] = 300
        save(root / split / "instances" / f"{name}.png", labels)


class TestLabelMaps:
    def test_slides_and_pixels(self, tmp_path: Path) -> None:
        label_map_dataset(tmp_path)
        train, test = read_dataset(tmp_path)
        assert (train.id, train.split, train.organ) == (TRAIN_ID, "train", "liver")
        assert (test.id, test.split, test.organ) == (TEST_ID, "test", "brain")
        assert train.image().dtype == np.uint8
        np.testing.assert_array_equal(train.image(), picture())
        labels = train.labels()
        assert labels.dtype == np.int32
        assert labels.shape == (40, 40)
        assert set(np.unique(labels)) == {0, 300}
        assert (labels == 300).sum() == 15

    def test_one_split_alone(self, tmp_path: Path) -> None:
        label_map_dataset(tmp_path)
        for path in sorted((tmp_path / "train").rglob("*.png")):
            path.unlink()
        assert [slide.split for slide in read_dataset(tmp_path)] == ["test"]

    def test_image_without_label_map(self, tmp_path: Path) -> None:
        label_map_dataset(tmp_path)
        (tmp_path / "test" / "instances" / f"{TEST_ID}.png").unlink()
        with pytest.raises(DataInvalid, match=f"{TEST_ID}.png has no label map"):
            read_dataset(tmp_path)

    def test_own_slides_come_with_a_manifest(self, tmp_path: Path) -> None:
        save(tmp_path / "train" / "images" / "mine.png", picture())
        save(tmp_path / "train" / "instances" / "mine.png", np.zeros((40, 40), np.uint8))
        with pytest.raises(DataInvalid, match="Add it to a manifest"):
            read_dataset(tmp_path)
        entry = {"id": "mine", "split": "train", "organ": "spleen"}
        (tmp_path / "manifest.json").write_text(json.dumps([entry]))
        (slide,) = read_dataset(tmp_path)
        assert slide.organ == "spleen"
        elsewhere = tmp_path / "other.json"
        elsewhere.write_text(json.dumps([entry | {"organ": "thymus"}]))
        assert read_dataset(tmp_path, manifest=elsewhere)[0].organ == "thymus"

    def test_a_test_slide_among_the_training_slides(self, tmp_path: Path) -> None:
        label_map_dataset(tmp_path)
        for part in ("images", "instances"):
            path = tmp_path / "test" / part / f"{TEST_ID}.png"
            path.rename(tmp_path / "train" / part / path.name)
        with pytest.raises(DataInvalid, match="must not mix"):
            read_dataset(tmp_path)

    @pytest.mark.parametrize("content", ["{", '{"id": 1}', "[1]", '[{"organ": "liver"}]', "null"])
    def test_broken_manifest(self, tmp_path: Path, content: str) -> None:
        label_map_dataset(tmp_path)
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(DataInvalid, match=r"manifest\.json is no manifest"):
            read_dataset(tmp_path)

    @pytest.mark.parametrize("change", [{"split": "val"}, {"organ": ""}, {"organ": None}])
    def test_manifest_entry_that_says_too_little(
        self, tmp_path: Path, change: dict[str, object]
    ) -> None:
        label_map_dataset(tmp_path)
        entry = {"id": TRAIN_ID, "split": "train", "organ": "liver"} | change
        (tmp_path / "manifest.json").write_text(json.dumps([entry]))
        with pytest.raises(DataInvalid, match=f"entry of {TRAIN_ID} needs split"):
            read_dataset(tmp_path)

    def test_verify_names_the_changed_file(self, tmp_path: Path) -> None:
        label_map_dataset(tmp_path)
        image_path = tmp_path / "train" / "images" / f"{TRAIN_ID}.png"
        entry = {"id": TRAIN_ID, "split": "train", "organ": "liver"}
        entry["image_sha256"] = hashlib.sha256(image_path.read_bytes()).hexdigest()
        (tmp_path / "manifest.json").write_text(json.dumps([entry]))
        assert len(read_dataset(tmp_path, verify=True)) == 2
        save(image_path, picture()[::-1])
        assert len(read_dataset(tmp_path)) == 2
        with pytest.raises(DataInvalid, match=f"{TRAIN_ID}.png is not the file"):
            read_dataset(tmp_path, verify=True)

    def test_label_map_of_another_size(self, tmp_path: Path) -> None:
        label_map_dataset(tmp_path)
        slide = read_dataset(tmp_path)[0]
        save(slide.labels_path, np.zeros((40, 39), np.uint16))
        with pytest.raises(DataInvalid, match="39 x 40 px but its image"):
            slide.labels()

    def test_colour_is_no_label_map(self, tmp_path: Path) -> None:
        label_map_dataset(tmp_path)
        slide = read_dataset(tmp_path)[0]
        save(slide.labels_path, picture())
        with pytest.raises(DataInvalid, match="is no label map"):
            slide.labels()

    @pytest.mark.parametrize("keep", [0, 10, 200, 1500])
    def test_truncated_image(self, tmp_path: Path, keep: int) -> None:
        label_map_dataset(tmp_path)
        slide = read_dataset(tmp_path)[0]
        slide.image_path.write_bytes(slide.image_path.read_bytes()[:keep])
        with pytest.raises(DataInvalid, match=f"{TRAIN_ID}.png cannot be read"):
            slide.image()


class TestOfficialArchives:
    def unpacked(self, root: Path) -> None:
        train = root / "MoNuSeg 2018 Training Data"
        save(train / "Tissue Images" / f"{TRAIN_ID}.tif", picture())
        save_xml(train / "Annotations" / f"{TRAIN_ID}.xml", [[(5, 5), (9, 5), (9, 8), (5, 8)]])
        save(root / "MoNuSegTestData" / f"{TEST_ID}.tif", picture(50))
        save_xml(root / "MoNuSegTestData" / f"{TEST_ID}.xml", [])

    def test_slides_without_a_manifest(self, tmp_path: Path) -> None:
        self.unpacked(tmp_path)
        (tmp_path / "MoNuSegTestData" / f"._{TEST_ID}.tif").write_bytes(b"macOS")
        train, test = read_dataset(tmp_path)
        assert (train.split, train.organ) == ("train", "liver")
        assert (test.split, test.organ) == ("test", "brain")
        np.testing.assert_array_equal(train.image(), picture())
        assert (train.labels() == 1).sum() == 4 * 3
        assert test.labels().shape == (50, 50)
        assert test.labels().max() == 0

    def test_one_archive_alone(self, tmp_path: Path) -> None:
        self.unpacked(tmp_path)
        (slide,) = read_dataset(tmp_path / "MoNuSegTestData")
        assert slide.id == TEST_ID

    def test_missing_annotation(self, tmp_path: Path) -> None:
        self.unpacked(tmp_path)
        (tmp_path / "MoNuSegTestData" / f"{TEST_ID}.xml").unlink()
        with pytest.raises(DataInvalid, match=f"{TEST_ID}.tif has no annotation"):
            read_dataset(tmp_path)

    def test_a_slide_twice(self, tmp_path: Path) -> None:
        self.unpacked(tmp_path)
        save(tmp_path / "copy" / f"{TRAIN_ID}.tif", picture())
        with pytest.raises(DataInvalid, match=f"{TRAIN_ID} is there twice"):
            read_dataset(tmp_path)

    def test_no_slides_and_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataInvalid, match="No MoNuSeg slide below"):
            read_dataset(tmp_path)
        with pytest.raises(DataInvalid, match="There is no folder"):
            read_dataset(tmp_path / "nowhere")
        (tmp_path / "train" / "images").mkdir(parents=True)
        with pytest.raises(DataInvalid, match="No image in"):
            read_dataset(tmp_path)


class TestAperioXml:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "cannot be read as Aperio XML"),
            ("<Annotations><Region>", "cannot be read as Aperio XML"),
            ("<html/>", "root is <html>"),
            ('<Annotations><Region><Vertex X="1"/></Region></Annotations>', "numeric X and Y"),
            ('<Annotations><Region><Vertex X="a" Y="1"/></Region></Annotations>', "numeric X"),
        ],
    )
    def test_not_an_annotation(self, tmp_path: Path, content: str, message: str) -> None:
        path = tmp_path / "slide.xml"
        path.write_text(content)
        with pytest.raises(DataInvalid, match=message):
            read_regions(path)

    def test_outlines_in_document_order(self, tmp_path: Path) -> None:
        outlines = [[(1.0, 2.0), (3.5, 4.0), (0.0, 9.0)], [(7.0, 7.0)]]
        read = read_regions(save_xml(tmp_path / "slide.xml", outlines))
        assert [region.tolist() for region in read] == [
            [list(vertex) for vertex in outline] for outline in outlines
        ]

    def test_a_rectangle_covers_its_area(self) -> None:
        # Corners in Aperio's pixels, counted from 1: columns 3..9 and rows 2..6 with the upper
        # and left edge left out, so 6 x 4 px starting at array index 3, 2.
        outline = np.array([(3, 2), (9, 2), (9, 6), (3, 6)], float)
        labels = rasterise([outline], (12, 12))
        expected = np.zeros((12, 12), np.int32)
        expected[2:6, 3:9] = 1
        np.testing.assert_array_equal(labels, expected)

    def test_neighbours_share_an_edge_without_gap_or_overlap(self) -> None:
        left = np.array([(2, 2), (6, 2), (6, 9), (2, 9)], float)
        right = left + np.array([4, 0])
        both = rasterise([left, right], (12, 12))
        assert (both == 1).sum() == (both == 2).sum() == 4 * 7
        assert (rasterise([right, left], (12, 12)) == 1).sum() == 4 * 7

    def test_the_first_region_keeps_overlaps(self) -> None:
        big = np.array([(2, 2), (10, 2), (10, 10), (2, 10)], float)
        small = np.array([(4, 4), (6, 4), (6, 6), (4, 6)], float)
        assert set(np.unique(rasterise([big, small], (12, 12)))) == {0, 1}
        assert (rasterise([small, big], (12, 12)) == 1).sum() == 4

    def test_degenerate_and_cut_outlines(self) -> None:
        line = np.array([(1, 1), (5, 5)], float)
        cut = np.array([(-5, -5), (4, -5), (4, 4), (-5, 4)], float)
        labels = rasterise([line, cut], (12, 12))
        assert (labels == 2).sum() == 4 * 4
        assert set(np.unique(labels)) == {0, 2}


def test_all_44_slides_are_what_the_manifest_says(monuseg: Path) -> None:
    manifest = {e["id"]: e for e in json.loads((monuseg / "manifest.json").read_text())}
    slides = read_dataset(monuseg, verify=True)
    assert [slide.split for slide in slides] == ["train"] * 30 + ["test"] * 14
    for slide in slides[::6]:
        labels = slide.labels()
        assert slide.image().shape == (1000, 1000, 3)
        assert len(np.unique(labels[labels > 0])) == manifest[slide.id]["nuclei"]
        assert (labels > 0).mean() == pytest.approx(manifest[slide.id]["fg"], abs=1e-4)


def test_built_in_facts_agree_with_the_manifest(monuseg: Path) -> None:
    import training.data.monuseg as reader

    table = Path(reader.__file__).with_name("monuseg_slides.json")
    known = {(e["id"], e["split"], e["organ"]) for e in json.loads(table.read_text())}
    manifest = json.loads((monuseg / "manifest.json").read_text())
    assert known == {(e["id"], e["split"], e["organ"]) for e in manifest}


def test_published_outlines_give_the_label_maps_exactly(monuseg: Path) -> None:
    samples = sorted((monuseg / "xml-sample").glob("*.xml"))
    assert len(samples) == 3
    for xml in samples:
        image_path = monuseg / "test" / "images" / f"{xml.stem}.png"
        label_map = Slide(
            xml.stem, "test", "", image_path, monuseg / "test" / "instances" / f"{xml.stem}.png"
        )
        outlines = Slide(xml.stem, "test", "", image_path, xml)
        np.testing.assert_array_equal(outlines.labels(), label_map.labels())
