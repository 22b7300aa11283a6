"""What a connection of the client refuses before it sends anything."""

import pytest

from app.client import AsyncClient, Client
from model.errors import ParameterInvalid


@pytest.fixture(params=[Client, AsyncClient])
def connect(request):
    return request.param


@pytest.mark.parametrize("address", ["localhost:8000", "/sian", "ftp://sian.example", ""])
def test_an_address_without_a_scheme_is_refused_at_once(connect, address):
    with pytest.raises(ParameterInvalid, match="does not begin with http:// or https://"):
        connect(address)


@pytest.mark.parametrize("key", ["abc\n", "a b", "abc\u200b", "", "a\u2013b"])
def test_a_key_that_no_header_carries_is_refused_and_not_told(connect, key):
    with pytest.raises(ParameterInvalid, match="The API key holds something") as refused:
        connect("https://sian.example", api_key=key)
    assert key == "" or key.strip() not in str(refused.value)


def test_addresses_and_keys_as_they_are_written_are_taken():
    with Client("HTTPS://sian.example/sian/", api_key="k-1_~!"):
        pass
