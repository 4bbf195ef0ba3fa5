import json

import pytest
from hypothesis import given, settings

from lab.errors import InputError
from lab.virtio.malformed.case import malformed_cases
from lab.virtio.malformed.fuzz import requests
from lab.virtio.malformed.request import MalformedRequest, request_from_text


@pytest.mark.parametrize("case", malformed_cases(), ids=lambda case: case.name)
def test_named_requests_come_back_from_a_file(case: object) -> None:
    """Whole: a stored one is what was put before the device."""
    request = case.request  # type: ignore[attr-defined]
    assert request_from_text(json.dumps(request.to_json())) == request


@settings(max_examples=30, deadline=None)
@given(requests())
def test_drawn_requests_come_back_from_a_file(request: MalformedRequest) -> None:
    """Likewise."""
    assert request_from_text(json.dumps(request.to_json())) == request


PLAIN = MalformedRequest(2, ()).to_json()
DESCRIPTOR = {"place": "data", "offset": 0, "size": 1, "flags": 0, "next": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"format": 9},
        {"queue": -1},
        {"heads": [65536]},
        {"heads": [0] * 17},
        {"heads": 3},
        {"table": [DESCRIPTOR | {"size": 1 << 32}]},
        {"table": [DESCRIPTOR | {"place": "moon"}]},
        {"table": [DESCRIPTOR] * 17},
        {"config": [{"offset": 0, "width": 3, "value": 0}]},
        {"config": [{"offset": 0, "width": 1, "value": 256}]},
        {"data": "zz"},
        {"notify": "1"},
    ],
)
def test_what_is_no_request_is_refused(change: dict[str, object]) -> None:
    """What does not fit its field would only break the lab."""
    with pytest.raises(InputError):
        request_from_text(json.dumps(PLAIN | change))


@pytest.mark.parametrize("text", ["", "3", "[" * 100_000])
def test_what_is_not_even_json_is_refused(text: str) -> None:
    """With a sentence."""
    with pytest.raises(InputError, match="not a malformed request"):
        request_from_text(text)
