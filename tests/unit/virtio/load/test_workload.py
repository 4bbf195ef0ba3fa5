import pytest

from lab.errors import InputError
from lab.virtio.load.workload import Direction, Workload, workload_from_fio


def workload(**options: object) -> Workload:
    """Return what a job of four workers means, with other options."""
    values: dict[str, object] = {"rw": "randread", "bs": "4k", "iodepth": 64, "numjobs": 4, "num_queues": 4}
    return workload_from_fio(**(values | options))  # type: ignore[arg-type]


def test_each_worker_fills_a_queue() -> None:
    """As in a guest, worker k is in queue k, with iodepth commands in flight."""
    found = workload()
    assert found == Workload(Direction.READ, True, 4096, ((0, 64), (1, 64), (2, 64), (3, 64)))
    assert found.in_flight == 256


@pytest.mark.parametrize(
    ("numjobs", "num_queues", "depths"),
    [(1, 4, ((0, 8),)), (3, 2, ((0, 16), (1, 8))), (4, 1, ((0, 32),))],
)
def test_workers_and_queues_need_not_be_as_many(numjobs: int, num_queues: int, depths: object) -> None:
    """Fewer workers leave queues idle, more of them share."""
    assert workload(numjobs=numjobs, num_queues=num_queues, iodepth=8).depths == depths


@pytest.mark.parametrize(
    ("bs", "size"), [("512", 512), ("4k", 4096), ("4K", 4096), ("4KiB", 4096), ("1m", 1 << 20), ("8192", 8192)]
)
def test_sizes_are_read_as_fio_writes_them(bs: str, size: int) -> None:
    """With and without a factor."""
    assert workload(bs=bs).request_bytes == size


@pytest.mark.parametrize(
    ("rw", "direction", "random"),
    [("read", "read", False), ("write", "write", False), ("randread", "read", True), ("randwrite", "write", True)],
)
def test_directions(rw: str, direction: str, random: bool) -> None:
    """The four kinds of a single direction."""
    found = workload(rw=rw)
    assert (found.direction, found.random) == (direction, random)


@pytest.mark.parametrize("options", [{"rw": "randrw"}, {"rw": "trim"}, {"rw": "randread:2"}])
def test_a_mix_is_refused(options: dict[str, object]) -> None:
    """The remedy names the kinds there are."""
    with pytest.raises(InputError, match=r"rw=.* cannot be had") as caught:
        workload(**options)
    assert "randwrite" in caught.value.remedy


@pytest.mark.parametrize("bs", ["0", "1000", "2m", "4k,8k", "4k-8k", "x", "99999999999k"])
def test_a_size_that_no_driver_asks_for_is_refused(bs: str) -> None:
    """Ranges, parts of a block and more than a megabyte."""
    with pytest.raises(InputError, match="bs="):
        workload(bs=bs)
