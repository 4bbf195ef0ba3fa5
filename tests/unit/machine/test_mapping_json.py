from __future__ import annotations

from typing import Any

import pytest

from lab.errors import InputError
from lab.machine.mapping_json import MappingItem, MappingTypeError, items_from_json, json_from_text


def test_items_are_read_as_qemu_writes_them() -> None:
    """An absent vqs stays absent and an empty one empty."""
    value = [{"iothread": "t0"}, {"iothread": "t1", "vqs": []}, {"iothread": "t2", "vqs": [0, 65535]}]
    assert items_from_json(value) == (MappingItem("t0"), MappingItem("t1", ()), MappingItem("t2", (0, 65535)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("t0", "Invalid parameter type for 'iothread-vq-mapping', expected: array"),
        ({"iothread": "t0"}, "Invalid parameter type for 'iothread-vq-mapping', expected: array"),
        ([None], "Invalid parameter type for 'iothread-vq-mapping[0]', expected: object"),
        ([{"vqs": [0]}], "Parameter 'iothread-vq-mapping[0].iothread' is missing"),
        ([{"iothread": 3}], "Invalid parameter type for 'iothread-vq-mapping[0].iothread', expected: string"),
        ([{"iothread": "t0", "cpus": 1}], "Parameter 'iothread-vq-mapping[0].cpus' is unexpected"),
        (
            [{"iothread": "t0"}, {"iothread": "t1", "vqs": 0}],
            "Invalid parameter type for 'iothread-vq-mapping[1].vqs', expected: array",
        ),
        ([{"iothread": "t0", "vqs": [0, True]}], "Parameter 'iothread-vq-mapping[0].vqs[1]' expects uint64"),
        ([{"iothread": "t0", "vqs": [1.0]}], "Parameter 'iothread-vq-mapping[0].vqs[0]' expects uint64"),
        ([{"iothread": "t0", "vqs": [2**64]}], "Parameter 'iothread-vq-mapping[0].vqs[0]' expects uint64"),
        ([{"iothread": "t0", "vqs": [65536]}], "Parameter 'null' expects uint16_t"),
        ([{"iothread": "t0", "vqs": [-1]}], "Parameter 'null' expects uint16_t"),
    ],
)
def test_what_is_not_of_the_type_is_refused_in_qemus_words(value: Any, message: str) -> None:
    """Each sentence is what QEMU 10.0.13 answers; the oracle test asks again."""
    with pytest.raises(MappingTypeError) as caught:
        items_from_json(value)
    assert caught.value.message == message
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["[", "[{'iothread': 't0'}]", '[{"iothread": "t0", "iothread": "t1"}]', "[" * 100_000])
def test_what_is_not_json_is_an_input_error(text: str) -> None:
    """Broken, single-quoted, doubled and absurdly nested texts are refused, and none ends in a traceback."""
    with pytest.raises(InputError, match="not valid JSON"):
        json_from_text(text)
