"""A guest under load, and what a scenario may do to it: QMP, shell, files, and marks on the clock of the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from lab.deadline import Deadline
from lab.errors import DeadlineError, RefusedError, StageError
from lab.machine.guest import CONSOLE_LOG, Guest, connected
from lab.machine.guest_clock import ClockRate, ClockReading, rate_between, read_clocks
from lab.machine.guest_shell import GuestShell
from lab.machine.mapping import Device
from lab.machine.spec import Controller
from lab.scenario.load import Load
from lab.scenario.service import Mark
from lab.scenario.site import Site

STEP_S = 60.0
"""How long a step of a scenario may take. Milliseconds with KVM; a busy host without it needs some seconds."""
_SETTLE_S = 1.3
"""A disturbance is held against the second before it, and fio's first readings are short."""
_LOOK_S = 0.05
_EVENT_S = 0.2


class ScenarioError(StageError):
    """The machine did not do what it must: a finding."""


class Stage:
    """What a scenario is given.

    :param guest: running; its first controller has the disk that is loaded.
    :param load: fio on that disk.
    :param stack: closed when the scenario is over; whatever a scenario starts is ended by it.
    :param make_deadline: the clock that waits go by.
    :param read_clock: reads the guest's clock and the host's.
    :ivar marks: the disturbances so far, in order.
    :ivar guest_ended: the scenario has ended the guest, as it was meant to.
    :ivar paused_s: how long the guest's CPUs were stopped; its own clock stopped too, so the trace does not show it.
    :ivar rested_s: how long the load was left alone so far.
    :ivar clock: how fast the guest's clock ran before the first disturbance; a guest that is stopped has none, so what
        comes later would not tell.
    """

    def __init__(
        self,
        guest: Guest,
        load: Load,
        site: Site,
        stack: ExitStack,
        *,
        make_deadline: Callable[[float], Deadline] = Deadline,
        read_clock: Callable[[GuestShell], ClockReading] = read_clocks,
    ) -> None:
        self.guest = guest
        self.load = load
        self.site = site
        self.stack = stack
        self.make_deadline = make_deadline
        self.marks: list[Mark] = []
        self.guest_ended = False
        self.paused_s = 0.0
        self.rested_s = 0.0
        self.clock: ClockRate | None = None
        self._read_clock = read_clock
        self._began: ClockReading | None = None

    @property
    def shell(self) -> GuestShell:
        """The shell of the guest, wherever it runs now."""
        return self.guest.shell

    @property
    def controller(self) -> Controller:
        """The controller of the disk that is loaded."""
        return self.guest.spec.controllers[0]

    @property
    def disk_device(self) -> str:
        """The id of the loaded disk's device."""
        disk = self.controller.disks[0]
        return self.controller.id if self.controller.model is Device.VIRTIO_BLK else f"{disk.id}-dev"

    def qmp(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """Run a QMP command that must work.

        :raise ScenarioError: QEMU refuses it.
        :raise DeadlineError: QEMU does not answer.
        :raise MonitorError: QEMU went away.
        """
        try:
            return self.guest.monitor.execute(command, arguments, timeout_s=STEP_S)
        except RefusedError as err:
            raise ScenarioError(f"{command}: {err.message}") from err

    def refuses(self, command: str, arguments: Mapping[str, object]) -> bool:
        """Run a QMP command that must not work, and tell whether QEMU refused it.

        :raise StageError: QEMU does not answer or went away.
        """
        try:
            self.guest.monitor.execute(command, arguments, timeout_s=STEP_S)
        except RefusedError:
            return True
        return False

    def event(self, name: str, **data: object) -> Any:
        """Wait for an event with these values in its data and return its data.

        :raise DeadlineError: it does not come.
        :raise MonitorError: QEMU went away.
        """
        return self.guest.monitor.wait_event(name, timeout_s=STEP_S, match=partial(_has, data))

    def first_event(self, names: Sequence[str], **data: object) -> str:
        """Wait for one of several events with these values in its data, and return its name.

        :raise DeadlineError: none of them comes.
        :raise MonitorError: QEMU went away.
        """

        def came() -> str | None:
            for name in names:
                try:
                    self.guest.monitor.wait_event(name, timeout_s=_EVENT_S, match=partial(_has, data))
                except DeadlineError:
                    continue
                return name
            return None

        return self.make_deadline(STEP_S).wait_for(f"event {' or '.join(names)}", came)

    def begin_clock(self) -> None:
        """Begin to compare the guest's clock with the host's; the first disturbance is the second reading.

        :raise StageError: the guest does not answer.
        """
        self._began = self._read_clock(self.shell)

    def disturb(self, name: str) -> None:
        """Mark a disturbance that is about to come, after the load had time to be steady.

        :raise StageError: the guest does not answer, or fio ended before.
        """
        self.settle()
        now = self._read_clock(self.shell)
        if self._began is not None and not self.marks:
            self.clock = rate_between(self._began, now)
        self.marks.append(Mark(name, now.guest_s))

    def mark_after(self, name: str, seconds: float) -> None:
        """Mark what came so long after the last disturbance, by itself and without anybody asking the guest's clock."""
        self.marks.append(Mark(name, self.marks[-1].at_s + seconds))

    def settle(self, seconds: float = _SETTLE_S) -> None:
        """Let the load run, and make sure that it still does.

        :raise WorkloadError: fio ended.
        :raise StageError: the guest does not answer.
        """
        self.make_deadline(seconds).rest()
        self.rested_s += seconds
        self.guest.check_alive()
        self.load.check_running()

    def disks(self) -> frozenset[str]:
        """Return the names of the guest's disks.

        :raise StageError: the guest does not answer.
        """
        return frozenset(self.shell.run("ls /sys/block", timeout_s=STEP_S).stdout.split())

    def new_disk(self, before: frozenset[str]) -> str:
        """Wait for a disk that was not there and return its name.

        :raise ScenarioError: none comes.
        :raise StageError: the guest does not answer.
        """
        try:
            return self.make_deadline(STEP_S).wait_for(
                "the guest to see a disk", lambda: next(iter(self.disks() - before), None), interval_s=_LOOK_S
            )
        except DeadlineError as err:
            raise self._owed(f"the plugged disk did not appear: {err.message}") from err

    def gone_disk(self, name: str) -> None:
        """Wait until the guest has let a disk go.

        :raise ScenarioError: it keeps it.
        :raise StageError: the guest does not answer.
        """
        try:
            self.make_deadline(STEP_S).wait_for(
                f"the guest to let {name} go", lambda: name not in self.disks() or None, interval_s=_LOOK_S
            )
        except DeadlineError as err:
            raise self._owed(f"the unplugged disk did not go away: {err.message}") from err

    def read_disk(self, name: str) -> None:
        """Read the beginning of a disk on each vCPU, so that each of its queues is used: Linux has a queue for a vCPU.

        :raise ScenarioError: it cannot be read.
        :raise StageError: the guest does not answer.
        """
        dd = f"dd if=/dev/{name} of=/dev/null bs=64k count=64 iflag=direct"
        command = " && ".join(f"taskset {1 << vcpu:x} {dd}" for vcpu in range(self.guest.spec.vcpus))
        done = self.shell.run(command, timeout_s=STEP_S, check=False)
        if done.exited != 0:
            raise ScenarioError(f"the plugged disk {name} cannot be read: {done.stderr.strip()[-300:]}")

    def wait_disk_size(self, size_bytes: int) -> None:
        """Wait until the guest sees a size of the loaded disk by itself.

        A virtio-scsi controller tells it (CAPACITY CHANGED: scsi_disk_resize_cb(), virtio_scsi_change()), and Linux
        looks (virtscsi_handle_param_change()). A guest that is asked to look would see it without the event.

        :raise ScenarioError: it does not.
        :raise StageError: the guest does not answer.
        """
        name = self.load.device.removeprefix("/dev/")

        def seen() -> bool | None:
            said = self.shell.run(f"cat /sys/block/{name}/size", timeout_s=STEP_S).stdout
            return said.strip() == str(size_bytes // 512) or None

        try:
            self.make_deadline(STEP_S).wait_for("the guest to see the new size", seen, interval_s=_LOOK_S)
        except DeadlineError as err:
            raise self._owed(f"the guest does not see the new size: {err.message}") from err

    def _owed(self, message: str) -> StageError:
        """Return the finding that the guest did not do something in time, if it had the time: if it still answers.

        :raise StageError: it does not, so nobody knows yet.
        """
        self.guest.check_alive()
        self.shell.run("true", timeout_s=STEP_S)
        return ScenarioError(message)

    def reset_guest(self, command: str) -> None:
        """Reset the guest with a QMP command, and connect to it again when it has booted.

        The load of before is gone with the guest's memory: nobody asks it any more.

        :raise ScenarioError: QEMU refuses.
        :raise StageError: the guest does not come up again.
        """
        console = self.guest.evidence / CONSOLE_LOG
        said_before = console.stat().st_size
        self.shell.close()
        self.qmp(command)
        process, monitor = self.guest.process, self.guest.monitor
        shell = connected(process, monitor, console, self.site.key, Deadline(STEP_S), from_byte=said_before)
        self.stack.callback(shell.close)
        old = self.guest
        self.move_to(Guest(old.spec, process, monitor, shell, old.threads, old.boot_s, old.evidence))

    def move_to(self, guest: Guest) -> None:
        """Go on with another guest: the same one after a reset, or where it was migrated to."""
        self.guest = guest
        self.load.shell = guest.shell

    def end_block_job(self, job: str, *, pivot: bool = False) -> None:
        """Wait for the end of a block job, which completes by itself or is told to when it is ready.

        :raise ScenarioError: it ended with an error.
        :raise StageError: it does not end.
        """
        if pivot:
            came = self.first_event(("BLOCK_JOB_READY", "BLOCK_JOB_COMPLETED"), device=job)
            if came != "BLOCK_JOB_READY":
                raise ScenarioError(f"the block job {job} ended before it was ready, see qmp.log")
            self.disturb("job-complete")
            self.qmp("job-complete", {"id": job})
        ended = self.event("BLOCK_JOB_COMPLETED", device=job)
        if "error" in ended:
            raise ScenarioError(f"the block job {job} failed: {ended['error']}")


def _has(wanted: Mapping[str, object], data: Any) -> bool:
    """Tell whether the data of an event has these values."""
    return all(data.get(key) == value for key, value in wanted.items())
