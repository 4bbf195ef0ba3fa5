"""A machine and a schedule to what happened. Nothing is judged here.

The steps are begun one after the other; between them the rings are polled and the load is kept up. At the end
everything that could hold something back is taken away, everything has to end, and the machine has to be usable.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from lab.deadline import Deadline
from lab.errors import DeadlineError, MonitorError, StageError
from lab.virtio.qtest_machine import Accelerator, BackgroundCommand, QtestMachine
from lab.virtio.race.content import fill_files
from lab.virtio.race.history import Disturbance, History, Sent
from lab.virtio.race.operations import Operations, QmpCommand, text_of, throttle_limit
from lab.virtio.race.schedule import ON_A_DISK, Action, Schedule, Step
from lab.virtio.race.traffic import Traffic
from lab.virtio.tmf.watchdog import Watched, WatchedProcess, wait_or_stall
from lab.virtio.virtio_pci import find_virtio_device
from lab.virtio.virtio_scsi import Lun
from lab.virtio.virtio_scsi_driver import VirtioScsi

_PATIENCE_S = 1.0
_THROTTLED_S = 25.0
"""Patience with a machine whose disks were throttled. A drain lets through what waits, and it counts: after some resets
a request waits for seconds of real time, with every thread asleep, and lifting the limit does not shorten that."""
_LIMIT_S = 30.0
"""For a machine that does something; it is called hung earlier where all its threads sleep."""
_QMP_S = 60.0
_SETTLE_S = 0.005
_LOOK_S = 0.00002
_MAX_ATTENTIONS = 8
_CLOCK_STEP_NS = 100_000_000
_STEP_CLOCK_EVERY = 20
_EIO = 5
_EVENT_S = 0.01


class Race:
    """One race on one machine. The history is complete after :meth:`run`, or as far as it got.

    :param machine: fresh; its driver is not started.
    :param process: QEMU as it is watched for progress; by default that of the machine.
    """

    def __init__(
        self,
        machine: QtestMachine,
        schedule: Schedule,
        *,
        process: Watched | None = None,
        make_deadline: Callable[[float], Deadline] = Deadline,
    ) -> None:
        self.history = History()
        self._machine = machine
        self._schedule = schedule
        self._process = process or WatchedProcess(machine.process)
        self._make_deadline = make_deadline
        self._units = machine.spec.units
        self._operations = Operations(self._units, schedule.iothreads, machine.folder)
        self._traffic = Traffic(machine.driver, self._units, schedule.num_queues, schedule.backing, self.history)
        self._running: list[tuple[str, BackgroundCommand]] = []
        self._under_way: list[tuple[Disturbance, BackgroundCommand]] = []
        self._being_reset = False
        self._controller_gone = False
        self._throttled = False

    def run(self) -> None:
        """Perform the race.

        :raise LabError: QEMU went away, or the driver met something that it cannot go on with.
        """
        fill_files(self._machine.folder)
        self._machine.driver.start()
        for unit in self._units:
            self._machine.driver.until_ready(unit.lun)
        for step in self._schedule.steps:
            self._pause(step.pause_us / 1e6)
            with suppress(DeadlineError):  # the main loop is blocked; whether for good is seen at the end
                self._begin(step)
        if self._take_away_what_holds() and self._wait("everything to end", self.everything_ended):
            self._pause(_SETTLE_S)
            self._look_after()
        self.history.refused = [f"{text}: {command.error}" for text, command in self._running if command.error]

    def everything_ended(self) -> bool:
        """Tell whether the device has returned all that it was given, and QMP has answered."""
        self._look()
        return not self._traffic.in_device and all(command.finished for _, command in self._running)

    def _begin(self, step: Step) -> None:
        unit = step.unit % len(self._units)
        traffic: dict[Action, Callable[[], object]] = {
            Action.READ: lambda: [self._traffic.read(unit, step.queue) for _ in range(step.count)],
            Action.WRITE: lambda: [self._traffic.write(unit, step.queue) for _ in range(step.count)],
            Action.LOAD: lambda: self._traffic.set_load(unit, step.queue, step.count),
            Action.FUNCTION: lambda: self._traffic.function(step.function, unit, step.count),
            Action.KICK: self._traffic.driver.kick_all,
            Action.DEVICE_RESET: lambda: self._reset_device(step),
            Action.EARLY_KICK: lambda: self._reset_device(step),
        }
        if step.action in traffic:
            if not self._without_driver():
                traffic[step.action]()
        elif step.action is Action.HOLD:
            self._machine.disk.hold()
        elif step.action in (Action.RELEASE, Action.FAIL):
            self._release(step)
        elif step.action is Action.RESTART_DRIVER:
            self._restart_driver()
        elif not self._controller_gone and not (self._being_reset and step.action is Action.SYSTEM_RESET):
            self._operate(step)

    def _release(self, step: Step) -> None:
        if step.count == 0 and step.action is Action.RELEASE:
            self._machine.disk.release_all()
            return
        for request in self._machine.disk.held()[: step.count or None]:
            with suppress(StageError):  # the connection was lost meanwhile
                self._machine.disk.release(request, error=_EIO if step.action is Action.FAIL else 0)
                if step.action is Action.FAIL:
                    self._note(Action.FAIL, self._operations.lun_of_export(request.export))

    def _operate(self, step: Step) -> None:
        on_disk = step.action in ON_A_DISK
        disturbance = self._note(step.action, self._units[step.unit % len(self._units)].lun if on_disk else None)
        self._throttled = self._throttled or step.action is Action.THROTTLE
        self._being_reset = self._being_reset or step.action is Action.SYSTEM_RESET
        if step.action is Action.CONTROLLER_DEL:
            self._machine.disk.release_all()
            self._controller_gone = True
            self._traffic.drop_all()
        for command in self._operations.commands(step):
            started = self._start(command)
            if on_disk:  # what is done to the machine is not over when QMP has answered
                self._under_way.append((disturbance, started))

    def _start(self, command: QmpCommand) -> BackgroundCommand:
        started = self._machine.start_command(*command, timeout_s=_QMP_S)
        self._running.append((text_of(command), started))
        return started

    def _note(self, action: Action, lun: Lun | None) -> Disturbance:
        disturbance = Disturbance(action, lun, self._traffic.passes)
        self.history.disturbances.append(disturbance)
        return disturbance

    def _note_answers(self) -> None:
        for pair in [pair for pair in self._under_way if pair[1].finished]:
            disturbance, command = pair
            disturbance.end_pass = self._traffic.passes + 1  # this look sent something before it saw the answer
            disturbance.refused = bool(command.error)
            self._under_way.remove(pair)

    def _start_driver(self, before_driver_ok: Callable[[], None] | None = None) -> None:
        """Bring the device up: what the resets before it did is over, and what they met has been dropped."""
        self._traffic.driver.start(before_driver_ok)
        for disturbance in self.history.disturbances:
            if disturbance.lun is None and disturbance.end_pass is None:
                disturbance.end_pass = self._traffic.passes

    def _reset_device(self, step: Step) -> None:
        early = step.count if step.action is Action.EARLY_KICK else 0
        self._machine.disk.release_all()
        self._wait_for_qmp()
        self._note(step.action, None)

        def before_driver_ok() -> None:
            self._traffic.drop_all()
            for queue in range(early):
                self._traffic.read(step.unit % len(self._units), queue)

        self._start_driver(before_driver_ok)

    def _restart_driver(self) -> None:
        if not self._being_reset or self._controller_gone:
            return
        self._machine.disk.release_all()
        self._wait_for_qmp()
        self._machine.monitor.wait_event("RESET", timeout_s=_PATIENCE_S)
        self._find_device_again()

    def _was_reset(self) -> bool:
        try:
            self._machine.monitor.wait_event("RESET", timeout_s=_EVENT_S)
        except DeadlineError:
            return False
        return True

    def _find_device_again(self) -> None:
        self._traffic.drop_all()
        self._machine.driver = VirtioScsi(find_virtio_device(self._machine.qtest), self._machine.memory)
        self._traffic.driver = self._machine.driver
        self._start_driver()
        self._being_reset = False

    def _without_driver(self) -> bool:
        return self._being_reset or self._controller_gone

    def _wait_for_qmp(self) -> None:
        """Wait until QMP has answered, while the rings are served; a hang shows at the end."""

        def answered() -> bool | None:
            self._look()
            return all(command.finished for _, command in self._running) or None

        with suppress(DeadlineError):
            self._make_deadline(_PATIENCE_S).wait_for("QMP", answered, interval_s=0.001)

    def _pause(self, seconds: float) -> None:
        with suppress(DeadlineError):
            self._make_deadline(seconds).wait_for("the pause to end", self._look, interval_s=_LOOK_S)

    def _look(self) -> None:
        if not self._without_driver():
            self._traffic.look()
        self._note_answers()
        if self._throttled and self._traffic.passes % _STEP_CLOCK_EVERY == 0 and self._has_qtest_clock():
            self._machine.qtest.post_clock_step(_CLOCK_STEP_NS)

    def _has_qtest_clock(self) -> bool:
        return self._machine.spec.accelerator is Accelerator.QTEST

    def _take_away_what_holds(self) -> bool:
        """Let everything go on, and tell whether it can: a machine that is being reset has to come to its end."""
        self._traffic.end_load()
        self._machine.disk.release_all()
        done = {disturbance.action for disturbance in self.history.disturbances}
        if self._throttled:
            self._start(throttle_limit(0))
        if Action.STOP in done:
            self._start(("cont", {}))
        if not self._being_reset or self._controller_gone:
            return True
        if not self._wait("the machine to be reset", self._was_reset):  # late on a busy host, and no hang of its own
            return False
        with suppress(DeadlineError):
            self._find_device_again()
        return True

    def _wait(self, what: str, check: Callable[[], bool]) -> bool:
        """Wait for something that has to happen; on a stall, note it."""
        patience_s = _THROTTLED_S if self._throttled else _PATIENCE_S
        stall = wait_or_stall(
            self._process, check, patience_s=patience_s, limit_s=_LIMIT_S, make_deadline=self._make_deadline
        )
        if stall is not None:
            self.history.stall, self.history.waiting_for = stall, what
            self.history.silent = [text for text, command in self._running if not command.finished]
        return stall is None

    def _look_after(self) -> None:
        """QMP answers, and each disk that is there answers on each queue and has what was written."""
        self._start(("query-status", {}))
        if not self._wait("QMP to answer query-status", self.everything_ended) or self._without_driver():
            return
        for number, unit in enumerate(self._units):
            if unit.device_id in self._plugged():
                for queue in range(self._schedule.num_queues):
                    self._probe(number, queue)
                self._read_back(unit.lun)

    def _plugged(self) -> set[str]:
        try:
            return {
                str(item["name"]) for item in self._machine.monitor.execute("qom-list", {"path": "/machine/peripheral"})
            }
        except MonitorError:
            return set()

    def _probe(self, unit: int, queue: int) -> None:
        for _ in range(_MAX_ATTENTIONS):
            sent = self._traffic.probe(unit, queue)
            if not self._wait(f"TEST UNIT READY on queue {queue}", self.everything_ended) or sent is None:
                return
            if not sent.end.startswith("CHECK_CONDITION UNIT_ATTENTION"):
                return
        self.history.never_ready.append(self._units[unit].lun)

    def _read_back(self, lun: Lun) -> None:
        if not self._schedule.backing.keeps_data:
            return
        written: list[Sent] = [sent for sent in self.history.commands if (sent.name, sent.end) == ("WRITE", "OK")]
        for sent in written:
            if sent.lun == lun:
                self._traffic.read_back(sent)
                if not self._wait("the data that was written", self.everything_ended):
                    return
