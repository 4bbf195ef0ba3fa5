"""fio in the background, against a shell that answers from a table."""

import json
from pathlib import Path

import pytest

from lab.errors import DeadlineError, GuestError, StageError, WorkloadError
from lab.machine.guest_shell import ShellResult
from lab.scenario.load import Load, StuckError
from lab.testing import Answer, FakeClock, FakeShell

REPORT = json.dumps(
    {
        "jobs": [
            {"error": 0, "read": {"total_ios": 100}, "write": {"total_ios": 0}},
            {"error": 0, "read": {"total_ios": 5}, "write": {"total_ios": 6}},
        ]
    }
)
LOG = "1000100, 500, 0, 4096, 0\n"
ENDED: dict[str, Answer] = {
    "kill -INT": "",
    "test ! -e": (1, "", ""),
    "cat /tmp/lab/load.json": f"fio: a warning\n{REPORT}\nfio: terminating on signal 2\n",
    "cat /tmp/lab/load.err": "",
    "cat /tmp/lab/old_iops.1.log": LOG,
    "cat /tmp/lab/old_clat.1.log": "1000100, 2000000, 0, 4096, 0\n",
    "cat /tmp/lab/load.status": "128\n",
    "mkdir": "",
    "fio --output-format=terse": "",
    "sysrq-trigger; dmesg": "sd 0:0:0:0: [sda] tag#799 FAILED\n",
}


def load(folder: Path, answers: dict[str, Answer], shell: FakeShell | None = None) -> Load:
    """A load on a clock that does not wait."""
    return Load(shell or FakeShell(answers), "/dev/sda", folder, make_deadline=FakeClock().deadline)


def test_an_interrupted_fio_without_errors_is_a_result(tmp_path: Path) -> None:
    """Requests are summed over the workers, the trace is read, the evidence stays."""
    result = load(tmp_path, ENDED).stop()
    assert result.completed == 111 and [reading.iops for reading in result.trace] == [500]
    assert [wait.longest_s for wait in result.waits] == [0.002]
    assert (tmp_path / "old_iops.1.log").read_text() == LOG and (tmp_path / "load.json").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cat /tmp/lab/load.status": "1\n"}, "exit status 1"),
        ({"cat /tmp/lab/load.err": "verify: bad magic header 0, wanted acca at file /dev/sda"}, "bad magic header"),
        ({"cat /tmp/lab/load.json": REPORT.replace('"error": 0', '"error": 5', 1)}, "a request failed"),
        ({"cat /tmp/lab/load.json": "no json"}, "cannot be read"),
        ({"cat /tmp/lab/load.json": '{"jobs": ' * 100_000 + "}"}, "cannot be read"),
        ({"cat /tmp/lab/load.json": REPORT.replace("100", "1e999")}, "cannot be read"),
        ({"fio --output-format=terse": (1, "", "verify: bad header offset")}, "was there before is damaged"),
    ],
)
def test_lost_or_wrong_data_is_a_failure(tmp_path: Path, change: dict[str, Answer], said: str) -> None:
    """Whichever of fio's ways of saying so."""
    with pytest.raises(WorkloadError, match=said):
        load(tmp_path, {**ENDED, **change}).stop()


def test_a_fio_that_ended_in_the_middle_is_told_with_its_words(tmp_path: Path) -> None:
    """And with the kernel's, as evidence; one that runs is not."""
    load(tmp_path, {"test ! -e": ""}).check_running()
    change: dict[str, Answer] = {"cat /tmp/lab/load.status": "1\n", "cat /tmp/lab/load.err": "fio: io_u error\n"}
    with pytest.raises(WorkloadError, match=r"a request failed \(exit status 1\): fio: io_u error"):
        load(tmp_path, {**ENDED, **change}).check_running()
    assert "tag#799 FAILED" in (tmp_path / "dmesg.txt").read_text()
    with pytest.raises(WorkloadError, match="does not say why"):
        load(tmp_path, ENDED).check_running()


def test_a_request_that_never_completes_keeps_fio(tmp_path: Path) -> None:
    """The guest answers and fio does not end: its disk hangs."""
    with pytest.raises(StuckError, match="never completes"):
        load(tmp_path, {**ENDED, "test ! -e": "", "/sys/block/sda/stat": ""}).stop()
    assert (tmp_path / "dmesg.txt").exists()


def test_a_fio_that_waits_for_nothing_is_late_by_itself(tmp_path: Path) -> None:
    """Its disk is not blamed: no request is in flight."""
    with pytest.raises(DeadlineError, match="waits for no request"):
        load(tmp_path, {**ENDED, "test ! -e": "", "/sys/block/sda/stat": (1, "", "")}).stop()


def test_a_guest_that_does_not_answer_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    """Then nobody knows."""
    silent: dict[str, Answer] = {**ENDED, "test ! -e": "", "sysrq-trigger; dmesg": GuestError("the guest went away")}
    with pytest.raises(GuestError, match="went away"):
        load(tmp_path, silent).stop()


def test_start_waits_for_requests_in_flight(tmp_path: Path) -> None:
    """fio's log is written when it ends, so the kernel is asked."""
    looks = iter([(1, "", ""), (1, "", ""), (0, "", "")])
    asked: list[str] = []

    class Shell(FakeShell):
        """A shell whose disk has no requests in flight at first."""

        def run(self, command: str, *, timeout_s: float, check: bool = True) -> ShellResult:
            if "/sys/block/sda/stat" in command:
                asked.append(command)
                self.answers["/sys/block/sda/stat"] = next(looks)
            return super().run(command, timeout_s=timeout_s, check=check)

    answers: dict[str, Answer] = {"mkdir": "", "setsid": "", "test ! -e": "", "/sys/block/sda/stat": ""}
    shell = Shell(answers)
    load(tmp_path, answers, shell).start()
    assert len(asked) == 3
    job = shell.files["/tmp/lab/load.fio"].decode()
    assert "filename=/dev/sda" in job and "verify=crc32c" in job and "log_unix_epoch=1" in job
    assert (tmp_path / "load.fio").read_text() == job


def test_a_job_says_how_the_old_data_is_read(tmp_path: Path) -> None:
    """Its size, depth and engine; where it reads, for how long and what is logged is not its to say."""
    reads = {"bs": "64k", "iodepth": "16", "norandommap": None, "runtime": "2s", "filename": "x", "ramp_time": "9s"}
    answers: dict[str, Answer] = {"mkdir": "", "setsid": "", "test ! -e": "", "/sys/block/sda/stat": ""}
    shell = FakeShell(answers)
    Load(shell, "/dev/sda", tmp_path, reads=reads, make_deadline=FakeClock().deadline).start()
    old = shell.files["/tmp/lab/load.fio"].decode().partition("[new]")[0].splitlines()
    assert {"bs=64k", "iodepth=16", "norandommap", "runtime=1h", "filename=/dev/sda"} <= set(old)
    assert not any(line.startswith(("ramp_time", "runtime=2s")) for line in old)


def test_a_fio_that_ends_at_once_is_told(tmp_path: Path) -> None:
    """With what it said."""
    answers: dict[str, Answer] = {
        "mkdir": "",
        "setsid": "",
        "test ! -e": (1, "", ""),
        "cat /tmp/lab/load.err": "fio: unknown option",
    }
    with pytest.raises(WorkloadError, match="unknown option"):
        load(tmp_path, answers).start()


def test_old_data_is_written_and_verified_alike(tmp_path: Path) -> None:
    """The same area and the same checks; only the direction differs."""
    shell = FakeShell(ENDED)
    one = load(tmp_path, ENDED, shell)
    one.prepare()
    written = shell.files["/tmp/lab/once.fio"].decode()
    one.verify_old()
    verified = shell.files["/tmp/lab/once.fio"].decode()
    assert "rw=write" in written and "do_verify=0" in written and "rw=read" in verified
    assert [line for line in written.splitlines() if line not in verified.splitlines()] == ["rw=write", "do_verify=0"]


def test_a_load_goes_on_in_another_shell(tmp_path: Path) -> None:
    """After a reset or a migration the guest is reached by another one."""
    one = load(tmp_path, {"test ! -e": StageError("gone")})
    one.shell = FakeShell({"test ! -e": ""})
    assert one.is_running()
