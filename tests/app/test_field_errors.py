import pytest

SEED = "seed must be a whole number from 0 to 9223372036854775807, was "


@pytest.fixture
def detail(client, mask_file):
    """What a request is refused with."""

    def detail(files=(), **fields):
        answer = client.post(
            "/synthesize", files={**mask_file, **dict(files)}, data={"organ": "kidney", **fields}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "parameter_invalid")
        return answer.json()["detail"]

    return detail


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seed", "1.5", SEED + "'1.5'."),
        ("seed", "-1", SEED + "'-1'."),
        ("seed", "9" * 25, SEED + f"'{'9' * 25}'."),
        ("seed", "9" * 5000, SEED + f"'{'9' * 80}'."),
        ("n", "0", "n must be a whole number from 1 to 16, was '0'."),
        ("mpp", "nan", "mpp must be a number from 0.1 to 1, was 'nan'."),
        ("label_components", "maybe", "label_components must be true or false, was 'maybe'."),
        (
            "deadline_s",
            "0",
            "deadline_s must be a number of seconds above 0, up to 604800, was '0'.",
        ),
    ],
)
def test_says_what_the_field_takes(detail, field, value, said):
    assert detail(**{field: value}) == said


def test_each_field_is_named(detail):
    said = detail(seed="x", n="y")
    assert said == f"{SEED}'x'; n must be a whole number from 1 to 16, was 'y'."


@pytest.mark.parametrize("field", ["organ", "styles", "weights"])
def test_a_file_where_text_belongs(client, mask_file, field):
    answer = client.post("/synthesize", files={**mask_file, field: b"kidney"})
    assert answer.json()["detail"].startswith(f"{field} must be text")
    assert answer.json()["detail"].endswith("was a file.")


def test_a_tile_that_is_no_number(client):
    answer = client.get("/jobs/3f0c9a7e5d1b4c86a2f4d8e19b7c6a50/outputs/first")
    assert answer.json()["detail"] == "index must be a whole number, was 'first'."


def test_the_ranges_are_those_of_the_fields(client):
    """What is said and what is checked stand in two places."""
    from app.field_errors import _WANTED

    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    forms = [one for one in schemas.values() if "deadline_s" in one.get("properties", {})]
    assert len(forms) == 2
    for name, said in _WANTED.items():
        for field in (form["properties"].get(name, {}) for form in forms):
            for key in ("minimum", "exclusiveMinimum", "maximum"):
                if key in field:
                    assert f"{field[key]:g}" in said or str(field[key]) in said, name
