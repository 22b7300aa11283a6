import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ranges import NotSatisfiable, requested

DATA = bytes(range(100))


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", DATA[:1]),
        ("bytes=0-99", DATA),
        ("bytes=10-19", DATA[10:20]),
        ("bytes=90-", DATA[90:]),
        ("bytes=90-1000", DATA[90:]),
        ("bytes=-10", DATA[-10:]),
        ("bytes=-1000", DATA),
        ("bytes= 1-2 ", DATA[1:3]),
    ],
)
def test_parts(header, part):
    assert DATA[requested(header, len(DATA))] == part


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=-", "bytes=5-4", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b", "bytes 1-2"],
)
def test_all_of_it(header):
    assert requested(header, len(DATA)) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_there_is_no_such_part(header):
    with pytest.raises(NotSatisfiable):
        requested(header, len(DATA))


@given(st.text() | st.from_regex(r"bytes=\d{0,20}-\d{0,20}", fullmatch=True))
def test_whatever_is_sent(header):
    try:
        part = requested(header, len(DATA))
    except NotSatisfiable:
        return
    if part is not None:
        assert 0 <= part.start < part.stop <= len(DATA)
