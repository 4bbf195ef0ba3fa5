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
    :param plugs_pci: PCI devices come or go, which the root bus of ``pc`` takes and that of ``q35`` does not.
    :param has_gaps: service is disturbed and comes back, so that there is a gap to measure.
    :param needs_iothread: it is about the IOThread of the loaded disk.
    """

    name: str
    perform: Callable[[Stage, int], None]
    devices: tuple[Device, ...] = _BOTH
    repeatable: bool = True
    plugs_pci: bool = False
    has_gaps: bool = True
    needs_iothread: bool = False

    def turns(self, times: int) -> int:
        """Return how often it is done where it was asked for so many times."""
        return times if self.repeatable else 1

    @property
    def summary(self) -> str:
        """Return what it does, in a line."""
        return (self.perform.__doc__ or "").strip().partition("\n")[0]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("hotplug-disk", hotplug.plug_disk, _SCSI),
        Scenario("hotplug-scsi", hotplug.plug_scsi_controller, plugs_pci=True),
        Scenario("hotplug-blk", hotplug.plug_blk, plugs_pci=True),
        Scenario(
            "iothread-in-use",
            hotplug.delete_iothread_in_use,
            repeatable=False,
            plugs_pci=True,
            needs_iothread=True,
        ),
        Scenario("lun-reset", reset.reset_lun, _SCSI),
        Scenario("snapshot", drain.snapshot),
        Scenario("stream", drain.stream),
        Scenario("commit", drain.commit),
        Scenario("mirror", drain.mirror),
        Scenario("backup", drain.backup),
        Scenario("resize", drain.resize),
        Scenario("throttle", drain.throttle),
        Scenario("stop-cont", reset.stop_and_continue),
        Scenario("system-reset", reset.reset_system, repeatable=False, has_gaps=False),
        Scenario("migrate", migrate.migrate),
        Scenario("power-off", reset.power_off, repeatable=False, has_gaps=False),
        Scenario("quit", reset.quit_under_load, repeatable=False, has_gaps=False),
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
