from functools import partial

import pytest

from lab.virtio.cost.operation import NAMES, NUM_QUEUES, OPERATIONS, QUEUE_SIZE, Operation
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.virtio_pci import find_virtio_device
from lab.virtio.virtio_scsi import Lun, Tmf
from lab.virtio.virtio_scsi_driver import VirtioScsi
from tests.unit.virtio import fake_device
from tests.unit.virtio.fake_device import FakeDevice


def named(name: str) -> Operation:
    """Return an operation."""
    return next(one for one in OPERATIONS if one.name == name)


def test_four_commands_and_all_functions() -> None:
    """Each once; the functions, which may reset the disk, come last."""
    assert NAMES[:4] == ("READ", "WRITE", "SYNCHRONIZE CACHE", "TEST UNIT READY")
    assert NAMES[4:] == tuple(function.name for function in Tmf)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_a_large_burst_fits_into_a_virtqueue(operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver takes it, and the difference of the bursts is what is divided by."""
    monkeypatch.setattr(fake_device, "Ring", partial(fake_device.Ring, size=QUEUE_SIZE))
    memory = GuestMemory(4)
    device = FakeDevice(memory, num_queues=NUM_QUEUES)
    driver = VirtioScsi(find_virtio_device(device), memory)
    driver.queue_size = QUEUE_SIZE
    driver.start()
    device.kicks.clear()
    with driver.batch():
        for queue in operation.queues:
            for tag in range(operation.sizes.large):
                operation.submit(driver, Lun(0, 0), queue, tag)
    assert driver.in_device == operation.sizes.large * len(operation.queues)
    assert device.kicks == ([2, 3, 4, 5] if operation.command else [0])
    more = operation.sizes.large - operation.sizes.small
    assert operation.operations_between == more * len(operation.queues)


def test_functions_that_concern_all_commands_are_unsteady_with_iothreads() -> None:
    """Threads have to meet for them; without IOThreads there is only one."""
    assert named("LOGICAL_UNIT_RESET").is_steady("none")
    assert not named("LOGICAL_UNIT_RESET").is_steady("iothread")
    assert named("ABORT_TASK").is_steady("2") and named("READ").is_steady("2")
