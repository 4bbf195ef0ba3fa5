"""What is read off a guest's console and QEMU's log."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.errors import BootError, CrashError, GuestError, HostError, MonitorError, StageError
from lab.machine import guest as module
from lab.machine.command_line import GuestBoot
from lab.machine.guest import (
    CONSOLE_LOG,
    QEMU_LOG,
    Guest,
    _host_key,
    _ssh_port,
    booted,
    fallback_warning,
    mapping_difference,
)
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.spec import Controller, Disk, MachineSpec, NullBackend
from lab.machine.threads import ThreadMap
from lab.testing import FakeMonitor, FakeProcess, FakeShell

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIA"
USERNET = """Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  15       127.0.0.1 45557       10.0.2.15    22     0     0
"""


def process_that(exited: int | None = None) -> Any:
    """A process that runs, or has ended with a status."""
    return SimpleNamespace(
        exit_code=lambda: exited,
        ended_within=lambda seconds: exited,
        failure=lambda what: BootError(f"{what}: ended"),
    )


def guest_with(tmp_path: Path, monitor: Any = None, exited: int | None = None) -> Guest:
    """A guest whose evidence is below tmp_path."""
    return Guest(cast("Any", None), process_that(exited), monitor, cast("Any", None), cast("Any", None), 1.0, tmp_path)


def controller_with(mapping: IOThreadMapping | None) -> Controller:
    """A virtio-scsi controller."""
    return Controller("scsi0", Device.VIRTIO_SCSI, 4, (Disk("d", NullBackend()),), mapping)


def test_the_host_key_is_read_when_the_guest_is_ready(tmp_path: Path) -> None:
    """The key's comment and the console's carriage returns do not matter."""
    console = tmp_path / "console"
    console.write_bytes(f"lab: init\r\nlab: host-key ssh-ed25519 {KEY} root@(none)\r\nlab: ready\r\n".encode())
    assert _host_key(process_that(), console) == KEY


def test_a_guest_that_is_not_ready_has_no_key_yet(tmp_path: Path) -> None:
    """A key without 'ready', and no console at all, mean: wait."""
    console = tmp_path / "console"
    assert _host_key(process_that(), console) is None
    console.write_text(f"lab: host-key ssh-ed25519 {KEY}\n")
    assert _host_key(process_that(), console) is None


def test_ready_inside_another_line_does_not_count(tmp_path: Path) -> None:
    """Only a line of its own is the guest's word."""
    console = tmp_path / "console"
    console.write_text("echo lab: ready\n")
    assert _host_key(process_that(), console) is None


@pytest.mark.parametrize(
    ("text", "exited", "message"),
    [
        ("lab: ready\n", None, "no host key"),
        ("Kernel panic - not syncing: No working init found\n", None, "No working init found"),
        ("lab: error: no fio\n", None, "no fio"),
        ("", 1, "while booting: ended"),
    ],
)
def test_a_boot_that_failed_says_why(tmp_path: Path, text: str, exited: int | None, message: str) -> None:
    """Waiting ends at once when there is nothing left to wait for."""
    console = tmp_path / "console"
    console.write_text(text)
    with pytest.raises(BootError, match=message):
        _host_key(process_that(exited), console)


def test_the_forwarded_port_is_the_one_the_host_chose() -> None:
    """HMP's table names it."""
    assert _ssh_port(FakeMonitor({"human-monitor-command": USERNET})) == 45557


def test_a_table_without_the_port_is_a_boot_error() -> None:
    """The text is shown, so that a changed format can be seen."""
    with pytest.raises(BootError, match="does not show the forwarded port"):
        _ssh_port(FakeMonitor({"human-monitor-command": "nothing"}))


@pytest.mark.parametrize(
    "line",
    [
        "qemu: virtio-scsi: Failed to set guest notifiers (-38), ensure -accel kvm is set.",
        "qemu: virtio-blk failed to set guest notifier (-38), ensure -accel kvm is set.",
        "virtio-scsi: Failed to set host notifier (-24)",
        "virtio-blk failed to set host notifier (-24)",
    ],
)
def test_a_notifier_fallback_is_found_in_qemus_log(tmp_path: Path, line: str) -> None:
    """QEMU says so on stderr only and runs on without IOThreads; it has four ways of saying it."""
    (tmp_path / QEMU_LOG).write_text(f"qemu: something else\n{line}\n")
    assert fallback_warning(tmp_path) == line


def test_any_other_line_is_no_fallback(tmp_path: Path) -> None:
    """A log without the message, or none at all, voids nothing."""
    assert fallback_warning(tmp_path) is None
    (tmp_path / QEMU_LOG).write_text("qemu: terminating on signal 15\n")
    assert fallback_warning(tmp_path) is None


def test_a_stored_mapping_that_equals_the_asked_one_is_no_difference(tmp_path: Path) -> None:
    """What qom-get answers is compared with what was asked for."""
    asked = IOThreadMapping.round_robin(("iothread0",))
    guest = guest_with(tmp_path, FakeMonitor({"qom-get": asked.to_json()}))
    assert mapping_difference(guest, controller_with(asked)) is None


def test_a_dropped_mapping_is_a_difference(tmp_path: Path) -> None:
    """device_add dropped the property silently until 2024: an empty answer is seen."""
    guest = guest_with(tmp_path, FakeMonitor({"qom-get": []}))
    difference = mapping_difference(guest, controller_with(IOThreadMapping.round_robin(("iothread0",))))
    assert difference is not None
    assert "QEMU stored none" in difference


def test_a_binary_without_the_property_matters_only_when_it_was_asked_for(tmp_path: Path) -> None:
    """Old QEMU and no mapping: fine. Old QEMU and a mapping: an error."""
    guest = guest_with(tmp_path, FakeMonitor({"qom-get": MonitorError("QEMU refused a command: not found")}))
    assert mapping_difference(guest, controller_with(None)) is None
    with pytest.raises(MonitorError):
        mapping_difference(guest, controller_with(IOThreadMapping.round_robin(("iothread0",))))


def test_a_living_guest_passes_the_check(tmp_path: Path) -> None:
    """No panic on the console, QEMU runs."""
    (tmp_path / CONSOLE_LOG).write_text("lab: ready\n")
    guest_with(tmp_path).check_alive()


def test_a_qemu_that_ended_is_a_crash(tmp_path: Path) -> None:
    """The message is the process's: status, output, command."""
    with pytest.raises(CrashError, match="while the guest ran: ended"):
        guest_with(tmp_path, exited=-6).check_alive()


def test_a_panic_outweighs_the_exit_that_follows_it(tmp_path: Path) -> None:
    """panic=-1 and -no-reboot make QEMU exit with 0: that is the guest's failure, not a crash of QEMU."""
    (tmp_path / CONSOLE_LOG).write_text("Kernel panic - not syncing: hung_task\n")
    with pytest.raises(GuestError, match="hung_task"):
        guest_with(tmp_path, exited=0).check_alive()


def test_what_is_behind_an_error_outweighs_it(tmp_path: Path) -> None:
    """A lost connection is a symptom; without a cause it stands for itself."""
    symptom = GuestError("the guest went away")
    assert guest_with(tmp_path).why(symptom) is symptom
    assert isinstance(guest_with(tmp_path, exited=-6).why(symptom), CrashError)


def test_the_iothread_property_is_proved_too(tmp_path: Path) -> None:
    """The property answers with the object's path."""
    controller = replace(controller_with(None), iothread="iothread0")
    guest = guest_with(tmp_path, FakeMonitor({"qom-get": "/objects/iothread0"}))
    assert mapping_difference(guest, controller) is None
    assert "QEMU stored ''" in str(mapping_difference(guest_with(tmp_path, FakeMonitor({"qom-get": ""})), controller))


def test_a_stored_value_that_is_no_mapping_is_a_difference(tmp_path: Path) -> None:
    """A series may add a member to the property; that voids a run and ends no experiment."""
    guest = guest_with(tmp_path, FakeMonitor({"qom-get": [{"iothread": "iothread0", "weight": 2}]}))
    found = mapping_difference(guest, controller_with(IOThreadMapping.round_robin(("iothread0",))))
    assert "is no mapping" in str(found)


def test_a_log_of_any_length_is_read_at_its_end(tmp_path: Path) -> None:
    """A debug print per request fills a log with one endless line; reading it stays quick."""
    (tmp_path / QEMU_LOG).write_text("." * 5_000_000)
    assert fallback_warning(tmp_path) is None


class Machine:
    """What ``booted`` starts and connects to, without a QEMU.

    :param console: what the guest prints.
    :param error: what happens instead of a start.
    :param ends: what was ended, in order.
    """

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence
        self.console = f"lab: init\nlab: host-key ssh-ed25519 {KEY}\nlab: ready\n"
        self.error: Exception | None = None
        self.process = FakeProcess(log=evidence / QEMU_LOG)
        self.monitor = FakeMonitor({"human-monitor-command": USERNET, "quit": {}})
        self.shell = FakeShell({"true": ""})
        self.reached: list[tuple[object, ...]] = []
        self.ends: list[str] = []

    def start(self, argv: tuple[str, ...], *, log: Path, pass_fds: tuple[int, ...]) -> Any:
        """Stand in for the process, and look whether it inherits an open socket."""
        assert log == self.evidence / QEMU_LOG and argv[0].startswith("qemu")
        assert os.fstat(pass_fds[0])
        if self.error is not None:
            raise self.error
        (self.evidence / CONSOLE_LOG).write_text(self.console)
        return SimpleNamespace(
            pid=1,
            exit_code=self.process.exit_code,
            ended_within=self.process.ended_within,
            failure=self.process.failure,
            stop=lambda ask=None: self.ends.append("asked" if ask else "killed"),
        )

    def connect(self, *words: object, **more: object) -> FakeShell:
        """Stand in for the shell."""
        self.reached.append(words)
        return self.shell

    def boot(self, timeout_s: float = 5.0) -> Any:
        """Boot a machine of one vCPU."""
        spec = MachineSpec("tcg", 1, 256, (), (controller_with(None),))
        boot = GuestBoot(Path("vmlinux"), Path(os.fsdecode(b"caf\xe9")), "quiet")
        return booted(Path("qemu"), (), spec, boot, evidence=self.evidence, timeout_s=timeout_s)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine that comes up."""
    made = Machine(tmp_path)
    monkeypatch.setattr(module, "QemuProcess", made.start)
    monkeypatch.setattr(module, "Monitor", lambda socket, *, log: made.monitor)
    monkeypatch.setattr(module, "GuestShell", made.connect)
    monkeypatch.setattr(module, "thread_map", lambda pid, monitor: ThreadMap(pid, {}, frozenset(), frozenset()))
    return made


def test_a_machine_is_handed_over_when_it_answers_and_ended_afterwards(machine: Machine) -> None:
    """The key is the console's, the port the monitor's; QEMU is asked to quit before it is killed."""
    with machine.boot() as guest:
        assert guest.shell is machine.shell and machine.shell.commands == ["true"]
        port, key, host_key = machine.reached[0]
        assert (port, host_key) == (45557, KEY)
        assert machine.ends == []
    assert machine.ends == ["asked", "killed"]
    assert f"lab.key={getattr(key, 'public')}" in command_line_of(machine)  # noqa: B009 - typed as an object


def command_line_of(machine: Machine) -> str:
    """Return what was kept of the command line."""
    return (machine.evidence / "command-line.txt").read_bytes().decode(errors="replace")


def test_a_path_that_is_not_utf_8_is_kept_as_it_is(machine: Machine) -> None:
    """The command line can be pasted, whatever a user calls a folder."""
    with machine.boot():
        pass
    assert b"caf\xe9" in (machine.evidence / "command-line.txt").read_bytes()


def test_a_guest_is_ended_when_the_block_fails(machine: Machine) -> None:
    """Ctrl-C included; the error passes through as it is."""
    with pytest.raises(KeyboardInterrupt), machine.boot():
        raise KeyboardInterrupt
    assert machine.ends == ["asked", "killed"]


def test_a_guest_that_does_not_come_up_in_time_shows_its_console(machine: Machine) -> None:
    """The last lines are what one looks at first."""
    machine.console = "lab: init\nwaiting\n"
    message = r"waited .* for the guest to say that it is ready.*\nlab: init\nwaiting"
    with pytest.raises(BootError, match=message) as caught:
        machine.boot(timeout_s=0.0).__enter__()
    assert caught.value.evidence == machine.evidence / CONSOLE_LOG
    assert machine.ends == ["asked", "killed"]


@pytest.mark.parametrize(
    ("error", "exited", "message"),
    [
        (GuestError("SSH to the guest failed"), None, "the guest did not come up: SSH to the guest failed"),
        (GuestError("SSH to the guest failed"), -11, "while booting: QEMU ended by itself with signal SIGSEGV"),
        (BootError("a boot error"), -11, "a boot error"),
    ],
)
def test_what_went_wrong_in_a_boot_is_a_boot_error(
    machine: Machine, error: StageError, exited: int | None, message: str
) -> None:
    """A QEMU that ended outweighs the connection that was lost by it."""
    machine.shell.answers["true"] = error
    machine.process.exited = exited
    machine.monitor = FakeMonitor({"human-monitor-command": USERNET})
    with pytest.raises(BootError, match=message):
        machine.boot().__enter__()
    assert machine.ends[-1] == "killed"


def test_a_host_that_cannot_start_qemu_says_so(machine: Machine) -> None:
    """No boot error: the next run would fail alike."""
    machine.error = HostError("'setpriv' is needed")
    with pytest.raises(HostError, match="setpriv"):
        machine.boot().__enter__()
    assert machine.ends == []
