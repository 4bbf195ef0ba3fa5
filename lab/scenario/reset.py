"""Resets, pauses and ends: of a logical unit, of the machine, of its CPUs, and of QEMU with requests in flight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab.errors import DeadlineError, MonitorError, StageError
from lab.scenario.region import AFTER, Region
from lab.scenario.site import old_data
from lab.scenario.stage import STEP_S, ScenarioError, Stage

_PAUSE_S = 1.0
_LOST = "what the guest wrote, and was told is written,"


def reset_lun(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Reset the loaded logical unit from the guest: the only TMF but ABORT_TASK that Linux sends (sg_reset -d -N)."""
    stage.disturb("LOGICAL_UNIT_RESET")
    done = stage.shell.run("sg_reset -d -N /dev/sg0", timeout_s=STEP_S, check=False)
    if done.exited != 0:
        raise ScenarioError(
            f"the logical unit reset failed in the guest: {(done.stderr or done.stdout).strip()[-300:]}"
        )


def stop_and_continue(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Stop the vCPUs for a second (stop, cont). The guest's clock stops too, so the trace shows the ends of it only."""
    stage.disturb("stop, cont")
    stage.qmp("stop")
    pause = stage.make_deadline(_PAUSE_S)
    pause.rest()
    stage.qmp("cont")
    stage.paused_s += pause.elapsed_s()


def reset_system(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Reset the machine under load (system_reset). It must boot again, see its disk, and find the data on it."""
    stage.settle()
    region = Region(stage)
    region.fill(AFTER)
    stage.qmp("set-action", {"reboot": "reset"})  # the lab starts QEMU with -no-reboot, so that a panic ends it
    stage.reset_guest("system_reset")
    stage.load.verify_old()
    if region.in_guest() != AFTER:
        raise ScenarioError(f"{_LOST} before the reset is not on the disk after it")
    stage.load.start()


def power_off(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Power the guest off with requests in flight, from the inside: QEMU must end by itself, in time and in good order.

    Not by ``system_powerdown``: that presses a button, and nothing in the guest listens to it.
    """
    with _ending(stage, "a power-off from the guest"), suppress(StageError):  # the connection may go before the answer
        stage.shell.run("(sleep 0.2; poweroff -f) >/dev/null 2>&1 &", timeout_s=STEP_S)


def quit_under_load(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """End QEMU with requests in flight (quit): it must end by itself, in time and without an error."""
    with _ending(stage, "quit"), suppress(MonitorError):  # it may close the connection before its answer is out
        stage.guest.monitor.execute("quit", timeout_s=STEP_S)


@contextmanager
def _ending(stage: Stage, what: str) -> Iterator[None]:
    """Make sure that the block makes QEMU end, in good order, and that data is left as it was acknowledged.

    :raise ScenarioError: it ended with an error, or data is damaged or lost.
    :raise DeadlineError: it does not end; whether it hangs has to be looked at.
    """
    stage.settle()
    before = old_data(stage.site.disk_file)
    region = Region(stage)
    region.fill(AFTER)
    stage.guest_ended = True
    yield
    code = stage.guest.process.ended_within(STEP_S)
    if code is None:
        raise DeadlineError(f"QEMU did not end within {STEP_S:g} s of {what}, with requests in flight")
    if code != 0:
        raise ScenarioError(f"QEMU ended with status {code} on {what}, with requests in flight")
    if old_data(stage.site.disk_file) != before:
        raise ScenarioError(f"the data that was there before is damaged after {what}, with requests in flight")
    if region.in_image(stage.site.disk_file) != AFTER:
        raise ScenarioError(f"{_LOST} before {what} is not on the disk after it")
