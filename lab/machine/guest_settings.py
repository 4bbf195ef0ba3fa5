"""What of a machine only the guest can set or prove: the I/O scheduler of its disks, and polling before halting."""

from __future__ import annotations

from pathlib import PurePosixPath

from lab.errors import WorkloadError
from lab.machine.guest_shell import GuestShell
from lab.machine.spec import MachineSpec

_ANSWER_S = 20.0
_IDLE_DRIVER = "/sys/devices/system/cpu/cpuidle/current_driver"


def settle_guest(shell: GuestShell, spec: MachineSpec) -> dict[str, object]:
    """Set what the machine asks of the guest, read it back, and return what was found, for the record.

    :raise WorkloadError: the guest does not have what was asked for; the message says what it has.
    """
    facts: dict[str, object] = {}
    if spec.scheduler is not None:
        for device in spec.guest_devices:
            _set_scheduler(shell, device, spec.scheduler)
        facts["scheduler"] = spec.scheduler
    if spec.haltpoll:
        driver = shell.run(f"cat {_IDLE_DRIVER}", timeout_s=_ANSWER_S, check=False).stdout.strip()
        if driver != "haltpoll":
            raise WorkloadError(
                f"haltpoll was asked for, but the guest's idle driver is '{driver or 'none'}'",
                remedy="it needs KVM and a guest kernel with CONFIG_HALTPOLL_CPUIDLE built in",
            )
        facts["idle_driver"] = driver
    return facts


def _set_scheduler(shell: GuestShell, device: str, wanted: str) -> None:
    """Set the I/O scheduler of a disk, and make sure that the disk has it."""
    file = f"/sys/block/{PurePosixPath(device).name}/queue/scheduler"
    shell.run(f"echo {wanted} > {file}", timeout_s=_ANSWER_S, check=False)  # what is read back decides
    offered = shell.run(f"cat {file}", timeout_s=_ANSWER_S).stdout.strip()
    if wanted != offered and f"[{wanted}]" not in offered.split():
        raise WorkloadError(
            f"the guest's kernel does not use the I/O scheduler '{wanted}' for {device}: it offers {offered}",
            remedy="name one of those, or build a guest image with its module",
        )
