from lab.virtio.malformed.case import malformed_cases, well_formed
from lab.virtio.malformed.perform import Outcome
from lab.virtio.malformed.request import Flag
from lab.virtio.scsi import read_10, write_10


def test_there_are_many_and_each_has_its_name() -> None:
    """At least the 32 kinds that a prototype tried."""
    cases = malformed_cases()
    assert len(cases) >= 32 and len({case.name for case in cases}) == len(cases)
    assert len({(case.request, case.allowed) for case in cases}) == len(cases)


def test_a_request_in_order_is_in_order() -> None:
    """Readable before writable, chained, the last one ends the chain."""
    read, write = well_formed(read_10(0)), well_formed(write_10(0, bytes(512)))
    assert [item.flags for item in read.table] == [Flag.NEXT, Flag.NEXT | Flag.WRITE, Flag.WRITE]
    assert [item.size for item in write.table] == [51, 512, 108]
    assert [item.next for item in read.table] == [1, 2, 0]


def test_what_breaks_the_ring_may_not_be_answered() -> None:
    """A chain without an end, or a head that is none, cannot be returned as done."""
    by_name = {case.name: case for case in malformed_cases()}
    for name in ("descriptor that follows itself", "head 65535", "avail.idx larger by 1000"):
        assert Outcome.RETURNED not in by_name[name].allowed
