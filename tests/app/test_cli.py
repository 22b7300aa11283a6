import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from app import server
from model.errors import CheckpointMissing
from model.formats import write_mask
from tests.fakes import label_mask, mask_png, png, style_png
from worker import synthesis


@pytest.fixture
def mask(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(mask_png())
    return path


def check_error(result, exit_code, text):
    code, out, err = result
    assert err.startswith("sian: ")
    assert err.count("\n") == 1
    assert text in err
    assert code == exit_code
    assert out == ""


def test_writes_a_tile_and_its_manifest(run, mask, tmp_path):
    code, out, err = run(
        "synthesize", "--mask", mask, "--organ", "kidney", "--seed", 7, "--out", "tile.png"
    )
    assert (code, err) == (0, "")
    assert out == "tile.png (seed 7)\n"
    png = (tmp_path / "tile.png").read_bytes()
    tile = Image.open(tmp_path / "tile.png")
    assert tile.size == (64, 64)
    assert tile.text["mask_sha256"] == hashlib.sha256(mask.read_bytes()).hexdigest()
    assert tile.text["synthetic"] == "true"
    manifest = json.loads((tmp_path / "tile.json").read_text())
    assert manifest["tile_sha256"] == hashlib.sha256(png).hexdigest()


def test_the_suffix_is_that_of_the_file(run, mask, tmp_path):
    """A large mask's tile is a TIFF, and no other's is."""
    large = tmp_path / "large.png"
    large.write_bytes(png(np.zeros((16, 1030), np.uint16)))
    for path, out, wanted in ((mask, "tile.tif", ".png"), (large, "tile.png", ".tif")):
        result = run("synthesize", "--mask", path, "--organ", "kidney", "--out", out)
        check_error(result, 64, f"is a {wanted} file; give it that suffix")
        assert not (tmp_path / out).exists()
    code, _, _ = run("synthesize", "--mask", large, "--organ", "kidney", "--out", "tile.tif")
    assert code == 0
    with Image.open(tmp_path / "tile.tif") as tile:
        assert tile.size == (1030, 16)


def test_the_same_request_gives_the_same_bytes(run, mask, tmp_path):
    (tmp_path / "style.png").write_bytes(style_png())
    for name in ("a.png", "b.png"):
        run("synthesize", "--mask", mask, "--style", "style.png", "--seed", 3, "--out", name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_mixes_style_images_as_the_service_does(run, mask, tmp_path, checkpoint):
    from fastapi.testclient import TestClient

    from app.main import create_app
    from app.settings import Settings

    images = [style_png(seed=seed) for seed in range(2)]
    for index, image in enumerate(images):
        (tmp_path / f"{index}.png").write_bytes(image)
    result = run("synthesize", "--mask", mask, "--style", "0.png", "--style", "1.png",
                 "--weights", "[1, 3]", "--seed", 3, "--out", "tile.png")  # fmt: skip
    assert result[0] == 0
    settings = Settings.load(checkpoint=checkpoint, data_dir=tmp_path / "data")
    with TestClient(create_app(settings)) as client:
        files = [("mask", mask.read_bytes()), *(("style", image) for image in images)]
        fields = {"weights": "[1, 3]", "seed": "3"}
        served = client.post("/synthesize", files=files, data=fields).content
    assert (tmp_path / "tile.png").read_bytes() == served


def test_gives_the_bytes_the_service_gives(run, mask, tmp_path, checkpoint):
    from fastapi.testclient import TestClient

    from app.main import create_app
    from app.settings import Settings

    run("synthesize", "--mask", mask, "--organ", "liver", "--seed", 5, "--n", 2, "--out", "t.png")
    settings = Settings.load(checkpoint=checkpoint, data_dir=tmp_path / "data")
    with TestClient(create_app(settings)) as client:
        fields = {"organ": "liver", "seed": "5", "n": "2"}
        job = client.post("/synthesize", files={"mask": mask.read_bytes()}, data=fields).json()
        for index, output in enumerate(job["outputs"]):
            tile = client.get(output["href"]).content
            assert tile == (tmp_path / f"t-{index}.png").read_bytes()


def test_numbers_several_tiles(run, mask, tmp_path):
    code, out, _ = run(
        "synthesize", "--mask", mask, "--styles", '{"kidney": 1}', "--n", 2, "--out", "t.png"
    )
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["t-0.png", "t-1.png"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mask.png", "t-0.png", "t-0.json", "t-1.png", "t-1.json"}


@pytest.mark.parametrize(
    ("mask_name", "style_name", "options", "lost"),
    [
        ("nuclei.json", "style.png", ("--out", "nuclei.png"), "nuclei.json"),
        ("nuclei-1.json", "style.png", ("--out", "nuclei.png", "--n", 2), "nuclei-1.json"),
        ("tile.png", "style.png", ("--out", "./tile.png"), "tile.png"),
        ("mask.png", "tile.png", ("--out", "tile.png"), "tile.png"),
    ],
)
def test_nothing_is_written_over_what_a_tile_is_made_from(
    run, tmp_path, mask_name, style_name, options, lost
):
    files = {mask_name: write_mask(label_mask(), "coco"), style_name: style_png()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    result = run("synthesize", "--mask", mask_name, "--style", style_name, *options)
    check_error(result, 64, f"{lost} would be written over")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_draws_a_seed_and_says_which(run, mask, tmp_path):
    seeds = {
        run("synthesize", "--mask", mask, "--organ", "kidney", "--out", name)[1]
        for name in ("t.png", "t.png")
    }
    assert len(seeds) == 2


def test_lists_the_presets(run):
    code, out, err = run("styles")
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["colon", "2"],
        ["kidney", "3"],
        ["liver", "4"],
    ]


@pytest.mark.parametrize(
    ("options", "exit_code", "text"),
    [
        (["--mask", "none.png", "--organ", "kidney"], 66, "none.png cannot be read"),
        (["--mask", ".", "--organ", "kidney"], 66, "cannot be read"),
        (["--mask", "empty.png", "--organ", "kidney"], 65, "empty"),
        (["--mask", "mask.png"], 66, "exactly one of"),
        (["--mask", "mask.png", "--organ", "spleen"], 64, "colon, kidney, liver"),
        (["--mask", "mask.png", "--organ", "kidney", "--styles", "{}"], 64, "exactly one of"),
        (["--mask", "mask.png", "--styles", "kidney"], 64, "JSON"),
        (["--mask", "mask.png", "--style", "none.png"], 66, "none.png cannot be read"),
        (["--mask", "mask.png", "--style", "mask.png"], 65, "colour"),
        (["--mask", "mask.png", *(2 * ["--style", "mask.png"])], 64, "also weights"),
        (["--mask", "mask.png", "--style", "mask.png", "--weights", "[]"], 64, "0 weights and 1"),
        (["--mask", "mask.png", "--organ", "kidney", "--n", "17"], 64, "1..16"),
        (["--mask", "mask.png", "--organ", "kidney", "--seed", "-1"], 64, "seed"),
        (["--mask", "mask.png", "--organ", "kidney", "--device", "tpu"], 78, "SIAN_DEVICE=tpu"),
        (["--mask", "mask.png", "--organ", "kidney", "--checkpoint", "no"], 78, "no checkpoint"),
        (["--mask", "mask.png", "--organ", "kidney", "--out", "/proc/t.png"], 73, "/proc/t.png"),
        (["--mask", "mask.png", "--organ", "kidney", "--out", "t.json"], 64, "suffix .png"),
        (["--mask", "mask.png", "--organ", "kidney", "--out", "tile"], 64, "suffix .png"),
    ],
)
def test_errors_are_one_line(run, mask, tmp_path, options, exit_code, text):
    (tmp_path / "empty.png").write_bytes(b"")
    if "--out" not in options:
        options = [*options, "--out", "tile.png"]
    check_error(run("synthesize", *options), exit_code, text)
    assert not (tmp_path / "tile.png").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["synthesize"], "Missing option '--mask'. See 'sian synthesize --help'."),
        (["synthesize", "--seed", "x"], "'--seed'"),
        (["serve", "--port", "99999"], "'--port'"),
        (["worker", "--check", "now"], "unexpected extra argument"),
        (["jobs", "--state", "lost"], "--state"),
        (["evaluate", "--tiles", "4"], "See 'sian evaluate --help'."),
        (["train", "--epochs", "4"], "--epochs"),
        (["unknown"], "'unknown'"),
        (["--unknown"], "--unknown"),
    ],
)
def test_errors_of_usage_are_one_line(run, arguments, text):
    check_error(run(*arguments), 2, text)


@pytest.mark.parametrize("code", [0, 1])
def test_training_commands_decide_their_exit_code(run, monkeypatch, code):
    def train() -> None:
        raise typer.Exit(code)

    monkeypatch.setattr("training.train.train", train)
    assert run("train") == (code, "", "")


def test_a_bad_setting_is_named(run, monkeypatch):
    monkeypatch.setenv("SIAN_THREADS", "many")
    check_error(run("styles"), 78, "SIAN_THREADS=many")
    check_error(run("serve"), 78, "SIAN_THREADS=many")


def test_the_suffix_is_looked_at_before_the_network_is_loaded(run, mask, monkeypatch):
    def load(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(synthesis, "load", load)
    result = run("synthesize", "--mask", mask, "--organ", "kidney", "--out", "tile.json")
    check_error(result, 64, "suffix .png")


@pytest.mark.parametrize(
    "command",
    [
        ("synthesize", "--mask", "mask.png", "--organ", "kidney", "--out", "tile.png"),
        ("dataset", "--out", "made", "--count", "1"),
    ],
)
def test_the_network_is_that_of_the_service(run, mask, monkeypatch, command):
    """With another precision or batch a GPU would give other bytes."""
    asked = []

    def load(checkpoint, **options):
        asked.append(options)
        raise CheckpointMissing("There is none.")

    monkeypatch.setattr(synthesis, "load", load)
    monkeypatch.setenv("SIAN_PRECISION", "fp32")
    monkeypatch.setenv("SIAN_MAX_BATCH", "3")
    check_error(run(*command), 78, "There is none.")
    assert asked == [{"device": "cpu", "threads": 1, "precision": "fp32", "max_batch": 3}]


def test_the_size_of_an_outline_mask_is_width_by_height(run, tmp_path):
    square = [[[10, 10], [40, 10], [40, 30], [10, 30], [10, 10]]]
    nucleus = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square}}
    (tmp_path / "mask.geojson").write_text(json.dumps(nucleus))
    code, _, err = run(
        "synthesize", "--mask", "mask.geojson", "--mask-size", "96x64", "--organ", "kidney",
        "--out", "tile.png",
    )  # fmt: skip
    assert (code, err) == (0, "")
    with Image.open(tmp_path / "tile.png") as tile:
        assert tile.size == (96, 64)


@pytest.mark.parametrize(
    ("organs", "expected"),
    [
        ("kidney, liver", {"kidney": 1.0, "liver": 1.0}),
        ('{"kidney": 2, "liver": 1}', {"kidney": 2.0, "liver": 1.0}),
        (None, {"colon": 1.0, "kidney": 1.0, "liver": 1.0}),
    ],
)
def test_a_dataset_is_that_of_its_options(run, tmp_path, organs, expected):
    options = [] if organs is None else ["--organs", organs]
    code, out, err = run(
        "dataset", "--out", "made", "--count", 3, "--size", "80x64", "--seed", 7,
        "--formats", "geojson, png", *options,
    )  # fmt: skip
    assert code == 0, err
    assert out == "made (3 tiles, seed 7)\n"
    made = tmp_path / "made"
    request = json.loads((made / "manifest.json").read_text())["request"]
    assert {name: request[name] for name in ("count", "organs", "seed", "width", "height")} == {
        "count": 3, "organs": expected, "seed": 7, "width": 80, "height": 64,
    }  # fmt: skip
    assert len(list((made / "geojson").iterdir())) == 3
    assert err.startswith("made: 0 of 3 tiles\n")


@pytest.mark.parametrize(
    ("options", "exit_code", "said"),
    [
        (["--organs", "spleen"], 64, "which 'spleen' has not"),
        (["--organs", '{"kidney": "much"}'], 64, "weight"),
        (["--size", "big"], 64, "--size big"),
        (["--formats", "gif"], 64, "no mask format 'gif'"),
    ],
)
def test_a_dataset_that_cannot_be_made(run, tmp_path, options, exit_code, said):
    check_error(run("dataset", "--out", "made", "--count", 1, *options), exit_code, said)
    assert not (tmp_path / "made").exists()


def test_serve_takes_a_checkpoint_and_a_device(run, monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr(server, "run", lambda settings, **options: served.append(settings))
    monkeypatch.setenv("SIAN_DEVICE", "cuda")
    assert run("serve", "--checkpoint", "mine.safetensors", "--device", "cpu") == (0, "", "")
    (settings,) = served
    assert settings.checkpoint == Path("mine.safetensors")
    assert settings.device == "cpu"


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_training_commands_answer_for_themselves(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"sian {command}" in out
    assert "--checkpoint" in out


def test_a_missing_training_package_is_named(run, monkeypatch):
    # None in sys.modules makes an import fail as if the package were not installed.
    monkeypatch.setitem(sys.modules, "training.train", None)
    advice = "install --constraint constraints.txt --editable '.[engine,training]'"
    check_error(run("train", "--help"), 70, advice)


def test_help_names_every_command_and_option(run):
    code, out, _ = run("--help")
    assert code == 0
    assert run()[:2] == (0, out)
    for command in ("serve", "worker", "jobs", "synthesize", "styles", "evaluate", "train"):
        assert command in out
        assert run(command, "--help")[0] == 0


def test_help_tells_flags_from_options_with_values(run):
    for command, flag in (("synthesize", "--label-components"), ("worker", "--check")):
        out = run(command, "--help")[1]
        assert flag in out
        assert "bool" not in out


def test_help_names_the_devices(run):
    for command in ("serve", "worker", "synthesize"):
        assert "cpu, mps, cuda or cuda:N" in run(command, "--help")[1]


def test_help_loads_neither_torch_nor_the_web_framework():
    program = (
        "import sys; sys.argv = ['sian', '--help']\n"
        "from app import cli\n"
        "try: cli.main()\n"
        "finally: print([m for m in ('torch', 'fastapi', 'skimage') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(run):
    from model.version import code_version

    assert run("--version")[:2] == (0, f"sian {code_version()}\n")
