from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.machine.mapping import Device, Dialect, IOThreadMapping, MappingItem, difference, iothreads_named

NAMES = st.lists(st.sampled_from([f"t{number}" for number in range(8)]), min_size=1, max_size=8, unique=True)
INDICES = st.lists(st.integers(0, 65535), max_size=6).map(tuple)
MAPPINGS = st.lists(
    st.builds(
        MappingItem, st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,9}", fullmatch=True), st.one_of(st.none(), INDICES)
    ),
    max_size=6,
).map(lambda items: IOThreadMapping(tuple(items)))


def test_a_round_robin_deals_the_command_queues_out_in_turn() -> None:
    """Item k of N serves the queues k, k+N and so on; ctrl and event stay in the main loop."""
    mapping = IOThreadMapping.round_robin(("t0", "t1", "t2"))
    assert mapping.queue_assignment(4) == {
        "ctrl": None,
        "event": None,
        "0": "t0",
        "1": "t1",
        "2": "t2",
        "3": "t0",
    }


def test_a_virtio_blk_has_request_queues_only() -> None:
    """For virtio-blk queue 0 is the first one there is, in either dialect."""
    mapping = IOThreadMapping.explicit({"t0": (1,), "t1": (0,)})
    for dialect in Dialect:
        assert mapping.queue_assignment(2, dialect, Device.VIRTIO_BLK) == {"0": "t1", "1": "t0"}


def test_the_old_dialect_counts_ctrl_and_event() -> None:
    """With all queues counted, index 2 is command queue 0, event can be assigned, and ctrl stays in the main loop."""
    mapping = IOThreadMapping.explicit({"t0": (0, 1, 3), "t1": (2,)})
    assert mapping.queue_assignment(2, Dialect.ALL_QUEUES) == {"ctrl": None, "event": "t0", "0": "t1", "1": "t0"}


def test_a_round_robin_of_the_old_dialect_begins_with_ctrl() -> None:
    """With two IOThreads the second one gets event and the odd command queues."""
    mapping = IOThreadMapping.round_robin(("t0", "t1"))
    assert mapping.queue_assignment(2, Dialect.ALL_QUEUES) == {"ctrl": None, "event": "t1", "0": "t0", "1": "t1"}


def test_an_empty_list_of_queues_means_round_robin() -> None:
    """QEMU keeps an empty vqs as it is, and treats it like an absent one."""
    mapping = IOThreadMapping((MappingItem("t0", ()), MappingItem("t1")))
    assert mapping.is_round_robin
    assert mapping.queue_assignment(2, device=Device.VIRTIO_BLK) == {"0": "t0", "1": "t1"}
    assert mapping.to_json() == [{"iothread": "t0", "vqs": []}, {"iothread": "t1"}]


def test_without_items_every_queue_is_in_the_main_loop() -> None:
    """An empty mapping assigns nothing, and indices beyond the device are passed over."""
    assert set(IOThreadMapping().queue_assignment(2).values()) == {None}
    assert IOThreadMapping.explicit({"t0": (0, 7)}).queue_assignment(1, device=Device.VIRTIO_BLK) == {"0": "t0"}


@given(names=NAMES, num_queues=st.integers(1, 64), dialect=st.sampled_from(Dialect), device=st.sampled_from(Device))
def test_a_round_robin_is_fair(names: list[str], num_queues: int, dialect: Dialect, device: Device) -> None:
    """The command queues of two IOThreads never differ by more than one in number."""
    assignment = IOThreadMapping.round_robin(names).queue_assignment(num_queues, dialect, device)
    served = [assignment[str(queue)] for queue in range(num_queues)]
    assert None not in served
    counts = [served.count(name) for name in names]
    assert max(counts) - min(counts) <= 1


@given(mapping=MAPPINGS)
def test_json_gives_back_the_mapping(mapping: IOThreadMapping) -> None:
    """What is sent to QEMU and read back unchanged is equal, absent and empty vqs kept apart."""
    assert IOThreadMapping.from_json(mapping.to_json()) == mapping


@given(mapping=MAPPINGS, dialect=st.sampled_from(Dialect), device=st.sampled_from(Device))
def test_the_short_form_gives_back_what_the_mapping_means(
    mapping: IOThreadMapping, dialect: Dialect, device: Device
) -> None:
    """The short form keeps everything but an empty vqs, which it writes as an absent one."""
    meant = IOThreadMapping(tuple(MappingItem(item.iothread, item.vqs or None) for item in mapping.items))
    text = mapping.to_short(dialect, device)
    assert IOThreadMapping.from_short(text, dialect, device) == meant
    assert IOThreadMapping.from_text(text, dialect, device) == meant


def test_the_short_form_names_queues_and_not_indices() -> None:
    """The same words mean the same queues in both dialects, so the indices differ."""
    text = "t0:0-1,t1:2"
    assert IOThreadMapping.from_short(text).to_json()[1] == {"iothread": "t1", "vqs": [2]}
    assert IOThreadMapping.from_short(text, Dialect.ALL_QUEUES).to_json()[1] == {"iothread": "t1", "vqs": [4]}
    old = IOThreadMapping.from_short("t0:ctrl+event+0", Dialect.ALL_QUEUES)
    assert old == IOThreadMapping.explicit({"t0": (0, 1, 2)})
    assert old.to_short(Dialect.ALL_QUEUES) == "t0:ctrl+event+0"


def test_ctrl_cannot_be_named_where_it_cannot_be_assigned() -> None:
    """The merged dialect has no index for ctrl and event, and virtio-blk has no such queues at all."""
    with pytest.raises(InputError, match="always runs in the main loop"):
        IOThreadMapping.from_short("t0:ctrl")
    with pytest.raises(InputError, match="virtio-blk-pci has no queue 'event'"):
        IOThreadMapping.from_short("t0:event", Dialect.ALL_QUEUES, Device.VIRTIO_BLK)


def test_a_text_is_json_or_short() -> None:
    """Both ways of writing a mapping are told apart by how they begin."""
    expected = IOThreadMapping.round_robin(("t0", "t1"))
    assert IOThreadMapping.from_text(' [{"iothread": "t0"}, {"iothread": "t1"}]') == expected
    assert IOThreadMapping.from_text("t0, t1") == expected
    assert IOThreadMapping.from_text("[]") == IOThreadMapping()


def test_each_iothread_is_named_once() -> None:
    """The IOThreads of a mapping and of the iothread property come in order, without doubles."""
    mapping = IOThreadMapping((MappingItem("t1"), MappingItem("t0"), MappingItem("t1")))
    assert mapping.iothreads == ("t1", "t0")
    assert iothreads_named(mapping, "t0") == ("t1", "t0")
    assert iothreads_named(None, "t9") == ("t9",)
    assert iothreads_named(None, None) == ()


def test_what_was_stored_as_asked_is_no_difference() -> None:
    """A property that was not set reads as an empty list."""
    mapping = IOThreadMapping.round_robin(("t0",))
    assert difference(mapping, mapping) is None
    assert difference(None, IOThreadMapping()) is None


def test_a_difference_shows_both_sides() -> None:
    """A mapping that was dropped, appeared from nowhere or was changed is said in words."""
    one, other = IOThreadMapping.round_robin(("t0",)), IOThreadMapping.explicit({"t0": (0,)})
    assert difference(one, IOThreadMapping()) == (
        'the mapping [{"iothread": "t0"}] was asked for, but QEMU stored none'
    )
    assert difference(None, one) == 'no mapping was asked for, but QEMU stored [{"iothread": "t0"}]'
    assert difference(one, other) == (
        'the mapping [{"iothread": "t0"}] was asked for, but QEMU stored [{"iothread": "t0", "vqs": [0]}]'
    )
