from collections.abc import Callable

import numpy as np
import pytest

from lab.errors import DeadlineError, StageError
from lab.virtio.load import driver as module
from lab.virtio.load.control import Control, Order
from lab.virtio.load.driver import Addresses, Driver, Orders
from lab.virtio.load.ring import Ring
from lab.virtio.load.workload import Direction
from lab.virtio.virtio_scsi import Lun
from tests.unit.virtio.load.fake_queue import FakeQueue


def orders(queue: FakeQueue, *, random: bool = True, disk_bytes: int = 1 << 30, start: float = 0.0) -> Orders:
    """Return orders for the queue."""
    return Orders(queue.layout, 0x1000, disk_bytes, random=random, start=start, seed=7, spin=False)


def driver_of(queue: FakeQueue, kick: Callable[[], None]) -> tuple[Driver, Control]:
    """Return a driver that may go."""
    control = Control(queue.memory, queue.layout.control)
    control.order = Order.GO
    ring = Ring(queue.memory, queue.layout)
    ring.prepare(Direction.READ, [Lun(0, 0)])
    driver = Driver(ring, Addresses(orders(queue)), control, kick, queue.layout.depth, spin=False)
    return driver, control


def test_orders_fit_on_a_command_line() -> None:
    """What the lab writes, a driver reads."""
    wanted = orders(FakeQueue())
    assert Orders.from_json(wanted.to_json()) == wanted


def test_drawn_addresses_are_whole_requests_on_the_disk() -> None:
    """The same seed draws the same; they do not all fall on one place."""
    queue = FakeQueue()
    one, same = Addresses(orders(queue, disk_bytes=1 << 20)), Addresses(orders(queue, disk_bytes=1 << 20))
    drawn = one.take(1000)
    assert (drawn % 8 == 0).all() and drawn.max() < (1 << 20) // 512
    assert len(np.unique(drawn)) > 200
    assert (drawn == same.take(1000)).all()


def test_addresses_one_after_the_other() -> None:
    """From the driver's own start, and around the end of the disk."""
    found = Addresses(orders(FakeQueue(), random=False, disk_bytes=8 * 4096, start=0.5)).take(6)
    assert list(found) == [32, 40, 48, 56, 0, 8]


def test_addresses_do_not_run_out() -> None:
    """After 65536 they begin again."""
    found = Addresses(orders(FakeQueue()))
    first = found.take(64).copy()
    for _ in range(1023):
        found.take(64)
    assert (found.take(64) == first).all()


def test_a_driver_keeps_the_queue_full_and_ends_empty() -> None:
    """Every slot is given again when it comes back; after the order to stop, all are taken back and none is given."""
    queue = FakeQueue(depth=4)
    kicks = 0

    def kick() -> None:
        nonlocal kicks
        kicks += 1
        assert len(queue.serve()) == 4
        if kicks == 5:
            control.order = Order.STOP

    driver, control = driver_of(queue, kick)
    driver.run()
    assert (control.completed, control.in_device, control.kicks, control.kicks_again) == (20, 0, 5, 0)


def test_a_device_that_looks_by_itself_is_not_kicked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing comes back all the same, it is, in case its wish was misread."""
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    queue = FakeQueue(depth=4)
    queue.want_kicks(wanted=False)

    def kick() -> None:
        queue.serve()
        control.order = Order.STOP

    driver, control = driver_of(queue, kick)
    driver.run()
    assert (control.completed, control.kicks, control.kicks_again) == (8, 2, 2)


def test_commands_that_never_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver gives up, and says how many are missing."""
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    monkeypatch.setattr(module, "_GIVE_UP_S", 0.0)
    driver, control = driver_of(FakeQueue(depth=4), lambda: None)
    with pytest.raises(DeadlineError, match="4 commands did not come back"):
        driver.run()
    assert control.in_device == 4


def test_a_command_that_fails_ends_the_load() -> None:
    """Numbers of failed commands are none."""
    queue = FakeQueue(depth=2)
    driver, _ = driver_of(queue, lambda: queue.use(queue.available(), answer=b"\xff" * 12))
    with pytest.raises(StageError, match="slot 0 without an answer"):
        driver.run()
