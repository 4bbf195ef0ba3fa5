"""A specification to a running guest that answers over QMP and SSH, and back to nothing whatever happens."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.command import text_from_argv
from lab.deadline import Deadline
from lab.errors import BootError, CrashError, DeadlineError, GuestError, InputError, MonitorError, StageError
from lab.machine.command_line import NETDEV, GuestBoot, Wiring, argv_from_spec
from lab.machine.guest_clock import boot_with_clock
from lab.machine.guest_shell import GuestShell, RunKey
from lab.machine.mapping import IOThreadMapping, difference
from lab.machine.mapping_json import PROPERTY
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess, tail_of
from lab.machine.spec import Controller, MachineSpec
from lab.machine.threads import ThreadMap, thread_map

CONSOLE_LOG = "console.log"
QEMU_LOG = "qemu.log"
_HOST_KEY = re.compile(r"^lab: host-key ssh-ed25519 ([A-Za-z0-9+/=]+)(?:\s.*)?$", re.MULTILINE)
_READY = re.compile(r"^lab: ready\s*$", re.MULTILINE)
_PANIC = re.compile(r"Kernel panic - not syncing.*|^lab: error.*", re.MULTILINE)
_NOTIFIER_FALLBACKS = ("failed to set guest notifier", "failed to set host notifier")
_ENDING_S = 1.0
_TAIL_LINES = 10


@dataclass(frozen=True)
class Guest:
    """A guest that answers.

    :param boot_s: from process start to the first command over SSH, in seconds.
    :param evidence: the folder that gets everything it leaves behind.
    """

    spec: MachineSpec
    process: QemuProcess
    monitor: Monitor
    shell: GuestShell
    threads: ThreadMap
    boot_s: float
    evidence: Path

    def panic(self) -> str | None:
        """Return what the guest's kernel said when it panicked, None while it has not."""
        found = _PANIC.search(tail_of(self.evidence / CONSOLE_LOG))
        return found.group(0) if found else None

    def check_alive(self) -> None:
        """Make sure that the guest's kernel has not panicked and QEMU has not ended.

        A panic comes first: the guest's ``panic=-1`` and ``-no-reboot`` make QEMU exit with 0 after one.

        :raise GuestError: the kernel panicked; the message holds its words.
        :raise CrashError: QEMU ended by itself.
        """
        ended = self.process.ended_within(0) is not None
        panic = self.panic()
        if panic is not None:
            raise GuestError(f"the guest's kernel failed: {panic}", evidence=self.evidence / CONSOLE_LOG)
        if ended:
            raise CrashError(self.process.failure("while the guest ran").message, evidence=self.evidence / QEMU_LOG)

    def why(self, error: StageError) -> StageError:
        """Return what is behind an error: a panic or a crash outweighs what was noticed first.

        :param error: a lost connection or a failed command.
        """
        self.process.ended_within(_ENDING_S)
        try:
            self.check_alive()
        except StageError as cause:
            return cause
        return error


@contextmanager
def booted(
    qemu: Path,
    firmware: Sequence[Path],
    spec: MachineSpec,
    boot: GuestBoot,
    *,
    evidence: Path,
    timeout_s: float = 60.0,
    key: RunKey | None = None,
    words: Sequence[str] = (),
) -> Iterator[Guest]:
    """Boot a machine and hand it over; end it when the block ends, however it ends.

    :param boot: its ``arguments`` are those of the image; the key of this run is added here.
    :param key: for a caller who connects again later, after a reset of the guest; None makes one for this run.
    :param words: added to the command line: a trace, a second monitor.
    :param evidence: an existing folder; gets command-line.txt, qemu.log, console.log and qmp.log.
    :param timeout_s: from process start to the first command over SSH.
    :raise BootError: QEMU ended, the guest panicked or did not come up in time.
    """
    key = key or RunKey.new()
    keyed = GuestBoot(boot.kernel, boot.initrd, f"{boot.arguments} lab.key={key.public}")
    deadline = Deadline(timeout_s)
    with ExitStack() as stack:
        process, monitor = stack.enter_context(started(qemu, firmware, spec, keyed, evidence=evidence, words=words))
        try:
            shell = connected(process, monitor, evidence / CONSOLE_LOG, key, deadline)
            stack.callback(shell.close)
            boot_s = deadline.elapsed_s()
            threads = thread_map(process.pid, monitor)
        except StageError as err:
            raise _boot_error(process, evidence / CONSOLE_LOG, err) from err
        yield Guest(spec, process, monitor, shell, threads, boot_s, evidence)


@contextmanager
def started(
    qemu: Path,
    firmware: Sequence[Path],
    spec: MachineSpec,
    boot: GuestBoot,
    *,
    evidence: Path,
    words: Sequence[str] = (),
) -> Iterator[tuple[QemuProcess, Monitor]]:
    """Start a machine up to an answering monitor, whatever its guest does; end it when the block ends.

    :param boot: complete, as the kernel gets it.
    :param words: added to the command line.
    :param evidence: an existing folder; gets command-line.txt, qemu.log, console.log and qmp.log.
    :raise BootError: QEMU ended, or its monitor does not answer.
    """
    console = evidence / CONSOLE_LOG
    boot = boot_with_clock(boot, spec.accelerator)
    with ExitStack() as stack:
        ours, theirs = socket.socketpair()
        stack.callback(ours.close)
        stack.callback(theirs.close)
        argv = (*argv_from_spec(qemu, firmware, spec, boot, Wiring.for_lab(theirs.fileno(), console)), *words)
        text = text_from_argv(argv) + "\n"  # a path in it may be no UTF-8
        (evidence / "command-line.txt").write_text(text, encoding="utf-8", errors="surrogateescape")
        process = QemuProcess(argv, log=evidence / QEMU_LOG, pass_fds=(theirs.fileno(),))
        stack.callback(process.stop)
        theirs.close()
        try:
            monitor = Monitor(ours, log=evidence / "qmp.log")
        except StageError as err:
            raise _boot_error(process, console, err) from err
        stack.callback(monitor.close)
        stack.callback(process.stop, lambda: monitor.execute("quit", timeout_s=2.0))
        yield process, monitor


def _boot_error(process: QemuProcess, console: Path, err: StageError) -> StageError:
    """Return what is to be told of a machine that did not come up."""
    if isinstance(err, BootError):
        return err
    if isinstance(err, DeadlineError):
        return BootError(f"{err.message}; the console ends with:\n{_tail(console)}", evidence=console)
    if process.ended_within(_ENDING_S) is not None:
        return process.failure("while booting")
    return BootError(f"the guest did not come up: {err.message}", evidence=console)


def connected(
    process: QemuProcess, monitor: Monitor, console: Path, key: RunKey, deadline: Deadline, *, from_byte: int = 0
) -> GuestShell:
    """Return a shell in the guest once it has said on its console that it is ready, and a command has run in it.

    :param monitor: of the QEMU that the guest runs in now; after a migration the console may be another one's.
    :param from_byte: where in the console's log to look: behind what the guest said before a reset.
    :raise BootError: the guest panicked, or QEMU ended.
    :raise DeadlineError: it was not ready in time.
    :raise GuestError: it does not let us in.
    :raise MonitorError: QEMU does not say which port leads to it.
    """
    port = _ssh_port(monitor)
    host_key = deadline.wait_for(
        "the guest to say that it is ready", lambda: _host_key(process, console, from_byte=from_byte)
    )
    shell = GuestShell(port, key, host_key, timeout_s=max(1.0, deadline.remaining_s()))
    try:
        shell.run("true", timeout_s=max(1.0, deadline.remaining_s()))
    except BaseException:
        shell.close()
        raise
    return shell


class Monitored(Protocol):
    """A QEMU that can be asked, with or without a guest."""

    @property
    def monitor(self) -> Monitor:
        """Its monitor."""


def mapping_difference(guest: Monitored, controller: Controller) -> str | None:
    """Compare the IOThreads that were asked for with those QEMU stored.

    QMP ``device_add`` dropped the property silently until 2024 ("qdev-monitor: avoid QemuOpts in QMP device_add"),
    so an accepted command line proves nothing: ``qom-get`` of the virtio backend does.

    :return: the difference in words, or None where there is none.
    :raise MonitorError: QEMU does not answer, or the device is not there.
    """
    path = f"/machine/peripheral/{controller.id}/virtio-backend"
    if controller.iothread is not None:
        stored = guest.monitor.execute("qom-get", {"path": path, "property": "iothread"})
        asked = f"/objects/{controller.iothread}"
        return None if stored == asked else f"iothread {asked} was asked for, but QEMU stored {stored!r}"
    try:
        stored = guest.monitor.execute("qom-get", {"path": path, "property": PROPERTY})
    except MonitorError:
        if controller.mapping is None:
            return None  # a QEMU from before the property: nothing was asked for, nothing can be stored
        raise
    try:
        return difference(controller.mapping, IOThreadMapping.from_json(stored))
    except InputError as err:  # a series may change the property itself
        return f"QEMU stored something that is no mapping: {err.message}"


def mapping_objection(machine: Monitored, controllers: Sequence[Controller], evidence: Path) -> str | None:
    """Say why a machine is not the one that was asked for, or None where it is.

    :param evidence: the folder of its logs.
    :raise MonitorError: QEMU does not answer, or a controller is not there.
    """
    for controller in controllers:
        found = mapping_difference(machine, controller)
        if found is not None:
            return f"{controller.id} does not have the IOThreads that were asked for: {found}"
    fallback = fallback_warning(evidence)
    return None if fallback is None else f"QEMU runs on without IOThreads: {fallback}"


def fallback_warning(evidence: Path) -> str | None:
    """Return the line in which QEMU said that it runs on without IOThreads, or None.

    "Failed to set guest notifiers" and "Failed to set host notifier" go to stderr only, of virtio-scsi and virtio-blk
    alike (hw/scsi/virtio-scsi-dataplane.c, hw/block/virtio-blk.c); such a run is void.
    """
    for line in tail_of(evidence / QEMU_LOG).splitlines():
        if any(words in line.lower() for words in _NOTIFIER_FALLBACKS):
            return line.strip()
    return None


def _ssh_port(monitor: Monitor) -> int:
    """Return the port the host chose for the forwarding; HMP is the only way to ask (net/slirp.c, ``info usernet``)."""
    text = monitor.execute("human-monitor-command", {"command-line": "info usernet"})
    found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\b", text)
    if found is None:
        raise BootError(f"'info usernet' does not show the forwarded port of {NETDEV}:\n{text}")
    return int(found.group(1))


def _host_key(process: QemuProcess, console: Path, *, from_byte: int = 0) -> str | None:
    """Return the guest's host key once it is ready, None while it boots."""
    text = tail_of(console, from_byte=from_byte)
    panic = _PANIC.search(text)
    if panic is not None:
        raise BootError(f"the guest's kernel failed: {panic.group(0)}", evidence=console)
    if _READY.search(text):
        key = _HOST_KEY.search(text)
        if key is None:
            raise BootError("the guest is ready but showed no host key on its console", evidence=console)
        return key.group(1)
    if process.exit_code() is not None:
        raise process.failure("while booting")
    return None


def _tail(path: Path) -> str:
    return "\n".join(tail_of(path).splitlines()[-_TAIL_LINES:]) or "(it printed nothing)"
