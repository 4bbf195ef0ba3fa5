import mmap

from lab.virtio.load.control import Control, Order, State


def test_both_ends_see_the_same_words() -> None:
    """What the lab orders the driver reads, what the driver counts the lab reads."""
    memory = mmap.mmap(-1, 8192)
    lab, driver = Control(memory, 4096), Control(memory, 4096)
    assert (driver.order, lab.state) == (Order.WAIT, State.STARTING)
    lab.order = Order.GO
    driver.state = State.RUNNING
    driver.count_batch(kicked=True, in_device=64)
    driver.count_batch(kicked=False, in_device=64)
    driver.count(completed=60, in_device=4)
    driver.count_kick_again()
    assert (driver.order, lab.state) == (Order.GO, State.RUNNING)
    assert (lab.completed, lab.in_device, lab.batches, lab.kicks, lab.kicks_again) == (60, 4, 2, 2, 1)


def test_drivers_do_not_see_each_other() -> None:
    """The words of one end before those of the next begin."""
    memory = mmap.mmap(-1, 8192)
    one, other = Control(memory, 0), Control(memory, 128)
    one.count(completed=1, in_device=1)
    one.order = Order.STOP
    assert (other.completed, other.order) == (0, Order.WAIT)
