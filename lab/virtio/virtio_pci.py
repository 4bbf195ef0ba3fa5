"""A PCI function to a modern virtio device: its structures, status, features, queues and notification.

Facts: Virtual I/O Device (VIRTIO) Version 1.2, sections 2.1 (status), 3.1 (initialisation), 4.1.4 (PCI capabilities).
Only the modern interface: start the device with ``disable-legacy=on``. MSI-X is left off; rings are polled.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Protocol

from lab.deadline import Deadline
from lab.errors import DeviceError, StageError
from lab.virtio.pci import BarWindow, PciFunction, RegisterAccess, find_function

VIRTIO_VENDOR = 0x1AF4
SCSI_DEVICE_ID = 0x1048
"""Modern id of a SCSI host: 0x1040 + virtio device type 8 (section 4.1.2)."""

FEATURE_VERSION_1 = 1 << 32

_VENDOR_CAPABILITY = 0x09
_RESET_S = 5.0


class DeviceStatus(IntFlag):
    """The device status field, section 2.1."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    NEEDS_RESET = 64
    FAILED = 128


class _Structure(IntEnum):
    """cfg_type of a virtio capability, section 4.1.4."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4


class _Common(IntEnum):
    """Offsets in the common configuration, section 4.1.4.3."""

    DEVICE_FEATURE_SELECT = 0
    DEVICE_FEATURE = 4
    DRIVER_FEATURE_SELECT = 8
    DRIVER_FEATURE = 12
    NUM_QUEUES = 18
    STATUS = 20
    QUEUE_SELECT = 22
    QUEUE_SIZE = 24
    QUEUE_ENABLE = 28
    QUEUE_NOTIFY_OFF = 30
    QUEUE_DESC = 32
    QUEUE_DRIVER = 40
    QUEUE_DEVICE = 48


class DeviceAccess(RegisterAccess, Protocol):
    """What this layer needs of the one below (lab.virtio.qtest_client)."""

    def read(self, address: int, width: int) -> int:
        """Load from guest-physical memory."""

    def write(self, address: int, value: int, width: int) -> None:
        """Store to guest-physical memory and wait."""

    def post_write(self, address: int, value: int, width: int) -> None:
        """Store to guest-physical memory without waiting."""


class VirtioPciDevice:
    """A virtio device whose BARs are placed and whose structures are found.

    :raise StageError: one of the four structures is missing: not a modern device.
    """

    def __init__(self, access: DeviceAccess, function: PciFunction) -> None:
        self._access = access
        bars = function.place_memory_bars(BarWindow())
        self._structures: dict[_Structure, int] = {}
        self._notify_multiplier = 0
        for capability in function.capabilities():
            if capability.kind != _VENDOR_CAPABILITY:
                continue
            kind = function.read(capability.offset + 3, 1)
            bar = function.read(capability.offset + 4, 1)
            if kind not in _Structure.__members__.values() or bar not in bars:
                continue
            address = bars[bar] + function.read(capability.offset + 8, 4)
            self._structures.setdefault(_Structure(kind), address)  # the first of a kind is preferred, 4.1.4.1
            if kind == _Structure.NOTIFY:
                self._notify_multiplier = function.read(capability.offset + 16, 4)
        missing = [kind.name for kind in _Structure if kind not in self._structures]
        if missing:
            raise StageError(f"the virtio device has no {', '.join(missing)} structure: it is not a modern device")

    @property
    def status(self) -> DeviceStatus:
        """The device status field."""
        return DeviceStatus(self._get(_Common.STATUS, 1))

    @property
    def num_queues(self) -> int:
        """All virtqueues of the device, ctrl and event included."""
        return self._get(_Common.NUM_QUEUES, 2)

    @property
    def notify_base(self) -> int:
        """Guest-physical address of the notification structure."""
        return self._structures[_Structure.NOTIFY]

    def reset(self, timeout_s: float = _RESET_S) -> None:
        """Reset the device. With I/O in flight this takes until the I/O has ended: QEMU drains in the register write.

        The status may become 0 later than that, and a driver waits for it (section 4.1.4.3.2).

        :raise DeadlineError: the main loop is blocked.
        :raise DeviceError: the status did not become 0 in time (section 4.1.4.3.1).
        :raise StageError: QEMU went away.
        """
        self._set(_Common.STATUS, 0, 1)
        deadline = Deadline(timeout_s)
        while status := self.status:
            if deadline.passed():
                raise DeviceError(f"the device's status is {int(status):#x} and not 0 after a reset")

    def negotiate(self, wanted: int) -> int:
        """Acknowledge the device and agree on features.

        :param wanted: bits to take where offered; VERSION_1 is always asked for.
        :return: the bits agreed on.
        :raise DeviceError: the device does not offer VERSION_1 or refuses the set.
        """
        self.add_status(DeviceStatus.ACKNOWLEDGE)
        self.add_status(DeviceStatus.DRIVER)
        offered = 0
        for half in (0, 1):
            self._set(_Common.DEVICE_FEATURE_SELECT, half, 4)
            offered |= self._get(_Common.DEVICE_FEATURE, 4) << 32 * half
        agreed = offered & (wanted | FEATURE_VERSION_1)
        for half in (0, 1):
            self._set(_Common.DRIVER_FEATURE_SELECT, half, 4)
            self._set(_Common.DRIVER_FEATURE, agreed >> 32 * half & 0xFFFFFFFF, 4)
        self.add_status(DeviceStatus.FEATURES_OK)
        if not agreed & FEATURE_VERSION_1 or DeviceStatus.FEATURES_OK not in self.status:
            raise DeviceError(f"the device refused the features {agreed:#x} (it offers {offered:#x})")
        return agreed

    def add_status(self, bit: DeviceStatus) -> None:
        """Set one more bit of the status."""
        self._set(_Common.STATUS, self.status | bit, 1)

    def queue_max_size(self, index: int) -> int:
        """Return the largest size of a queue; 0 where there is none."""
        self._set(_Common.QUEUE_SELECT, index, 2)
        return self._get(_Common.QUEUE_SIZE, 2)

    def enable_queue(self, index: int, size: int, descriptors: int, driver_area: int, device_area: int) -> int:
        """Give a queue its memory and enable it.

        :param descriptors: guest-physical address of the descriptor table; likewise the available and used rings.
        :return: the address that notifies the device of this queue (section 4.1.4.4).
        """
        self._set(_Common.QUEUE_SELECT, index, 2)
        self._set(_Common.QUEUE_SIZE, size, 2)
        for register, address in (
            (_Common.QUEUE_DESC, descriptors),
            (_Common.QUEUE_DRIVER, driver_area),
            (_Common.QUEUE_DEVICE, device_area),
        ):
            self._set(register, address & 0xFFFFFFFF, 4)
            self._set(register + 4, address >> 32, 4)
        self._set(_Common.QUEUE_ENABLE, 1, 2)
        offset = self._get(_Common.QUEUE_NOTIFY_OFF, 2)
        return self._structures[_Structure.NOTIFY] + offset * self._notify_multiplier

    def post_notify(self, address: int, index: int) -> None:
        """Notify the device of a queue without waiting; ``address`` is what :meth:`enable_queue` returned."""
        self._access.post_write(address, index, 2)

    def read_config(self, offset: int, width: int) -> int:
        """Read the device-specific configuration."""
        return self._access.read(self._structures[_Structure.DEVICE] + offset, width)

    def write_config(self, offset: int, value: int, width: int) -> None:
        """Write the device-specific configuration."""
        self._access.write(self._structures[_Structure.DEVICE] + offset, value, width)

    def _get(self, register: int, width: int) -> int:
        return self._access.read(self._structures[_Structure.COMMON] + register, width)

    def _set(self, register: int, value: int, width: int) -> None:
        self._access.write(self._structures[_Structure.COMMON] + register, value, width)


def find_virtio_device(access: DeviceAccess) -> VirtioPciDevice:
    """Return the first virtio-scsi device on bus 0.

    :raise StageError: there is none, or it is not modern.
    """
    return VirtioPciDevice(access, find_function(access, VIRTIO_VENDOR, frozenset({SCSI_DEVICE_ID})))
