from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.machine.mapping import MAIN_LOOP, Dialect
from lab.virtio.tmf import controller as module
from lab.virtio.tmf.controller import NAMES, controller_mapping, mappings_of
from tests.unit.machine.made_up_qemu import CAPABILITIES


@pytest.mark.parametrize(
    ("name", "served_by"),
    [
        ("none", (MAIN_LOOP,) * 4),
        ("iothread", ("t0",) * 4),
        ("1", ("t0",) * 4),
        ("2", ("t0", "t1", "t0", "t1")),
        ("4", ("t0", "t1", "t2", "t3")),
        ("explicit", ("t0", "t1", "t1", "t0")),
        ("all-queues", ("t0", "t1", "t0", "t1")),
    ],
)
def test_who_should_serve_which_queue(name: str, served_by: tuple[str, ...]) -> None:
    """Every mapping says which thread each command queue belongs to, and makes exactly those IOThreads."""
    mapping = controller_mapping(name, 4)
    assert mapping.served_by == served_by
    assert set(mapping.iothreads) == set(served_by) - {MAIN_LOOP}


def test_properties_are_what_qemu_takes() -> None:
    """One IOThread by its own property, several by the mapping, none by nothing."""
    assert controller_mapping("none", 4).properties == {}
    assert controller_mapping("iothread", 4).properties == {"iothread": "t0"}
    assert controller_mapping("2", 4).properties == {"iothread-vq-mapping": [{"iothread": "t0"}, {"iothread": "t1"}]}
    all_queues = controller_mapping("all-queues", 4).properties["iothread-vq-mapping"]
    assert all_queues == [{"iothread": "t0", "vqs": [0, 1, 2, 4]}, {"iothread": "t1", "vqs": [3, 5]}]


def test_a_mapping_that_is_none() -> None:
    """The error lists those there are."""
    with pytest.raises(InputError, match="no mapping '3'") as caught:
        controller_mapping("3", 4)
    assert all(name in caught.value.remedy for name in NAMES)


@pytest.mark.parametrize(
    ("dialect", "lacks"),
    [
        (None, set(NAMES) - {"none", "iothread"}),
        (Dialect.MERGED, {"all-queues"}),
        (Dialect.ALL_QUEUES, {"explicit"}),
    ],
)
def test_a_binary_takes_the_mappings_of_its_dialect(
    monkeypatch: pytest.MonkeyPatch, dialect: Dialect | None, lacks: set[str]
) -> None:
    """One from before the mapping takes none, and the same indices mean other queues in each dialect."""
    monkeypatch.setattr(module, "capabilities_of", lambda _: replace(CAPABILITIES, scsi_dialect=dialect))
    assert mappings_of(Path("qemu")) == tuple(name for name in NAMES if name not in lacks)
