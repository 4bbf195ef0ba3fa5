"""The scenarios by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.errors import InputError
from lab.machine.mapping import Device
from lab.scenario import drain, hotplug, migrate, reset
from lab.scenario.stage import Stage

_BOTH = (Device.VIRTIO_SCSI, Device.VIRTIO_BLK)
_SCSI = (Device.VIRTIO_SCSI,)


@dataclass(frozen=True)
class Scenario:
    """Something that is done to a guest under load.

    :param summary: one line for people; the first of the function's docstring.
    :param perform: does it once; is told which time it is, from 0.
    :param devices: the loaded devices it makes sense with.
    :param repeatable: whether it can be done again in the same guest.
    """

    name: str
    perform: Callable[[Stage, int], None]
    devices: tuple[Device, ...] = _BOTH
    repeatable: bool = True

    @property
    def summary(self) -> str:
        """Return what it does, in a line."""
        return (self.perform.__doc__ or "").strip().partition("\n")[0]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("hotplug-disk", hotplug.plug_disk, _SCSI),
        Scenario("hotplug-scsi", hotplug.plug_scsi_controller),
        Scenario("hotplug-blk", hotplug.plug_blk),
        Scenario("iothread-in-use", hotplug.delete_iothread_in_use, repeatable=False),
        Scenario("lun-reset", reset.reset_lun, _SCSI),
        Scenario("snapshot", drain.snapshot),
        Scenario("stream", drain.stream),
        Scenario("commit", drain.commit),
        Scenario("mirror", drain.mirror),
        Scenario("backup", drain.backup),
        Scenario("resize", drain.resize),
        Scenario("throttle", drain.throttle),
        Scenario("stop-cont", reset.stop_and_continue),
        Scenario("system-reset", reset.reset_system, repeatable=False),
        Scenario("migrate", migrate.migrate),
        Scenario("quit", reset.quit_under_load, repeatable=False),
    )
}


def scenarios_from_names(names: tuple[str, ...], device: Device) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, all that suit the device for none.

    :raise InputError: there is none of a name, or it does not suit the device.
    """
    if not names:
        return tuple(scenario for scenario in SCENARIOS.values() if device in scenario.devices)
    found = []
    for name in names:
        scenario = SCENARIOS.get(name)
        if scenario is None:
            raise InputError(f"there is no scenario '{name}'", remedy=f"scenarios are: {', '.join(SCENARIOS)}")
        if device not in scenario.devices:
            raise InputError(f"scenario {name} needs {scenario.devices[0].value}, not {device.value}")
        found.append(scenario)
    return tuple(found)
