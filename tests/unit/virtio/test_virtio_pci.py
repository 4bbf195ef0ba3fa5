import pytest

from lab.errors import DeviceError, StageError
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.virtio_pci import FEATURE_VERSION_1, DeviceStatus, VirtioPciDevice, find_virtio_device
from tests.unit.virtio.fake_device import FakeDevice, virtio_function


@pytest.fixture
def memory() -> GuestMemory:
    """Return 2 MiB of guest memory."""
    return GuestMemory(2)


def test_structures_are_found_and_the_device_reset(memory: GuestMemory) -> None:
    """The device is found behind its BAR, says how many queues it has, and is reset to status 0."""
    fake = FakeDevice(memory, num_queues=4)
    fake.status = 15
    device = find_virtio_device(fake)
    device.reset()
    assert device.num_queues == 6 and device.status == 0


def test_features_are_negotiated_in_order(memory: GuestMemory) -> None:
    """Acknowledge, driver, features: what both know, and VERSION_1 always (VIRTIO 1.2, section 3.1.1)."""
    fake = FakeDevice(memory)
    assert find_virtio_device(fake).negotiate(0b1010) == FEATURE_VERSION_1 | 0b10
    assert fake.agreed == FEATURE_VERSION_1 | 0b10
    assert fake.statuses == [1, 3, 11]


def test_queues_are_enabled_with_their_memory(memory: GuestMemory) -> None:
    """A queue learns its three areas, and has a place of its own for notifications."""
    fake = FakeDevice(memory)
    device = find_virtio_device(fake)
    assert device.queue_max_size(1) == 256 and device.queue_max_size(9) == 0
    address = device.enable_queue(1, 64, 0x1_0000_1000, 0x2000, 0x3000)
    device.post_notify(address, 1)
    ring = fake.rings[1]
    assert ring.enabled and ring.size == 64
    assert ring.registers == {32: 0x1000, 36: 1, 40: 0x2000, 44: 0, 48: 0x3000, 52: 0}
    assert fake.kicks == [1]


def test_device_configuration(memory: GuestMemory) -> None:
    """The device-specific structure is read and written in place."""
    fake = FakeDevice(memory, num_queues=3)
    device = find_virtio_device(fake)
    device.write_config(20, 128, 4)
    assert device.read_config(0, 4) == 3 and device.read_config(20, 4) == 128


@pytest.mark.parametrize(("kind", "name"), [(1, "COMMON"), (2, "NOTIFY"), (4, "DEVICE")])
def test_a_device_without_a_structure(memory: GuestMemory, kind: int, name: str) -> None:
    """A legacy device is refused by what it lacks."""
    fake = FakeDevice(memory, function=virtio_function(without=(kind,)))
    with pytest.raises(StageError, match=f"no {name} structure"):
        find_virtio_device(fake)


@pytest.mark.parametrize(
    "fake_arguments", [{"features": 0b110}, {"accepts_features": False}], ids=["no-version-1", "refused"]
)
def test_features_that_are_not_agreed_on(memory: GuestMemory, fake_arguments: dict[str, int]) -> None:
    """A device that does not offer VERSION_1, or clears FEATURES_OK, cannot be driven."""
    device = find_virtio_device(FakeDevice(memory, **fake_arguments))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="refused the features"):
        device.negotiate(0)


def test_a_reset_that_does_not_happen(memory: GuestMemory) -> None:
    """A status that stays is not taken for a reset device."""
    fake = FakeDevice(memory, resets=False)
    device: VirtioPciDevice = find_virtio_device(fake)
    device.add_status(DeviceStatus.FAILED)
    with pytest.raises(DeviceError, match="status is 0x80 and not 0 after a reset"):
        device.reset(timeout_s=0)


def test_a_reset_that_takes_a_while(memory: GuestMemory) -> None:
    """The status may become 0 later than it was written, and a driver waits for it (VIRTIO 1.2, 4.1.4.3.2)."""

    class Slow(FakeDevice):
        def read(self, address: int, width: int) -> int:
            """Load from the BAR; the status goes down by one each time it is looked at."""
            found = super().read(address, width)
            self.status = max(0, self.status - 1)
            return found

    fake = Slow(memory, resets=False)
    fake.status = 3
    find_virtio_device(fake).reset()
    assert fake.status == 0
