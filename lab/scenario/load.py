"""fio in the guest, in the background, with what it wrote verified: what tells lost or wrong data from a slow disk.

The disk has three areas. *old* is written once, read at random all the time, and verified at the end: it shows data
that was there before. *new* is written, and after every 256 writes read back and verified: it shows data that was
written in the middle of the disturbance, but for the last ones, at which fio 3.33 does not look when it is told to end.
What follows is for the scenarios.

The rate of *old* is the trace: its readings are plain, those of *new* change between writing and reading back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.deadline import Deadline
from lab.errors import DeadlineError, StageError, WorkloadError
from lab.machine.guest_shell import GuestShell
from lab.scenario.service import Reading, Wait, trace_from_log, waits_from_log

AREA_MIB = 16
DISK_MIB = 64
"""Three areas and room for one that grows."""
_KERNEL_LOG = "dmesg.txt"
_TRACE, _WAITS = "old_iops.1.log", "old_clat.1.log"
_DIR = "/tmp/lab"  # noqa: S108 - a path in the guest, which has one user
_PREPARE_S = 120.0
_BEGIN_S = 30.0
_END_S = 60.0
_INTERRUPTED = 128
"""fio's exit status where a signal ended it in good order (backend.c, sig_int)."""
READS: Mapping[str, str | None] = {"ioengine": "libaio", "direct": "1", "rw": "randread", "iodepth": "4", "bs": "4k"}
"""How *old* is read where nobody says otherwise."""
_VERIFY = "verify=crc32c\nverify_fatal=1\n"


@dataclass(frozen=True)
class LoadResult:
    """What fio made of a disturbed disk.

    :param completed: requests.
    :param trace: of *old*, a reading every 100 ms, on the guest's clock.
    :param waits: of *old*, likewise: the slowest request.
    """

    completed: int
    trace: tuple[Reading, ...]
    waits: tuple[Wait, ...] = ()


class StuckError(WorkloadError):
    """A request never completes, though the guest answers."""


class Load:
    """fio on one disk of a guest.

    :param device: path in the guest, ``/dev/sda``.
    :param evidence: gets fio's job, output and logs.
    :param reads: options of fio for *old*; one worker that reads.
    :param make_deadline: the clock that waits go by.
    """

    def __init__(
        self,
        shell: GuestShell,
        device: str,
        evidence: Path,
        *,
        reads: Mapping[str, str | None] = READS,
        make_deadline: Callable[[float], Deadline] = Deadline,
    ) -> None:
        self.shell = shell
        self.device = device
        self._evidence = evidence
        self._reads = reads
        self._make_deadline = make_deadline

    def prepare(self) -> None:
        """Write the old data.

        :raise GuestError: it could not be written.
        """
        self._once("write", "do_verify=0")

    def start(self) -> None:
        """Start fio and wait for its first requests.

        :raise WorkloadError: it does not begin.
        :raise StageError: the guest does not answer.
        """
        text = self._job()
        (self._evidence / "load.fio").write_text(text, encoding="utf-8")
        self._put("load.fio", text)
        end = "echo $? >load.part; mv load.part load.status"
        fio = f'sh -c "echo \\$\\$ >load.pid; exec fio --output-format=json load.fio" >load.json 2>load.err; {end}'
        self.shell.run(
            f"cd {_DIR} && rm -f load.status old_*.log && (setsid sh -c '{fio}' </dev/null >/dev/null 2>&1 &)",
            timeout_s=_BEGIN_S,
        )
        self._make_deadline(_BEGIN_S).wait_for("fio to begin", lambda: self._begun() or None, interval_s=0.1)

    def is_running(self) -> bool:
        """Tell whether fio still runs.

        :raise StageError: the guest does not answer.
        """
        return self.shell.run(f"test ! -e {_DIR}/load.status", timeout_s=_BEGIN_S, check=False).exited == 0

    def check_running(self) -> None:
        """Make sure that fio still runs.

        :raise WorkloadError: it does not: a request failed, or data was wrong; the message holds fio's words.
        :raise StageError: the guest does not answer.
        """
        if not self.is_running():
            self._collect()
            raise WorkloadError("fio ended in the middle of the scenario, and does not say why")

    def stop(self) -> LoadResult:
        """End fio, fetch what it wrote, and verify the old data.

        :raise StuckError: a request never completes.
        :raise WorkloadError: a request failed, data was wrong, or fio ended by itself.
        :raise DeadlineError: fio does not end, though it waits for no request: it has no time, or a bug of its own.
        :raise StageError: the guest does not answer.
        """
        # Its first process only, which tells its workers: fio 3.33 whose workers are interrupted, too, has been seen to
        # sleep for ever, in a guest that was left alone.
        end = f"cd {_DIR} && test -e load.status || kill -INT $(cat load.pid)"
        self.shell.run(end, timeout_s=_BEGIN_S, check=False)
        try:
            self._make_deadline(_END_S).wait_for("fio", lambda: (not self.is_running()) or None, interval_s=0.1)
        except DeadlineError as err:
            self._save_kernel_log()
            told = f"fio does not end, though it was told to {_END_S:g} s ago and the guest answers"
            if not self._has_in_flight():
                raise DeadlineError(f"{told}; it waits for no request") from err
            raise StuckError(f"{told}: a request never completes") from err
        result = self._collect()
        self.verify_old()
        return result

    def verify_old(self) -> None:
        """Verify the data that was there before.

        :raise WorkloadError: it is not what was written.
        :raise StageError: the guest does not answer.
        """
        try:
            self._once("read", "")
        except StageError as err:
            raise WorkloadError(f"the data that was there before is damaged, or cannot be read: {err.message}") from err

    def _begun(self) -> bool:
        """Tell whether fio has requests in flight; its log is written when it ends."""
        if not self.is_running():
            raise WorkloadError(f"fio ended before it was disturbed: {self._text('load.err')[-400:]}")
        return self._has_in_flight()

    def _has_in_flight(self) -> bool:
        """Tell whether the disk has requests in flight, as the guest's kernel counts them."""
        inflight = f"read a b c d e f g h inflight rest </sys/block/{self.device.removeprefix('/dev/')}/stat"
        return self.shell.run(f"{inflight}; test $inflight -gt 0", timeout_s=_BEGIN_S, check=False).exited == 0

    def _save_kernel_log(self) -> None:
        """Keep what the guest's kernel knows beside what it says on its console: the stacks of tasks that wait, too."""
        said = self.shell.run("echo w >/proc/sysrq-trigger; dmesg", timeout_s=_BEGIN_S, check=False).stdout
        (self._evidence / _KERNEL_LOG).write_text(said, encoding="utf-8")

    def _collect(self) -> LoadResult:
        for name in ("load.json", "load.err", _TRACE, _WAITS):
            (self._evidence / name).write_text(self._text(name), encoding="utf-8")
        status = self._text("load.status").strip()
        said = (self._evidence / "load.err").read_text(encoding="utf-8")
        completed, failed = _totals((self._evidence / "load.json").read_text(encoding="utf-8"))
        if status not in ("0", str(_INTERRUPTED)) or failed or "verify:" in said:
            told = " ".join(said.strip().splitlines()[:3]) or "it says nothing"
            self._save_kernel_log()
            raise WorkloadError(
                f"fio lost or misread data, or a request failed (exit status {status}): {told}",
                evidence=self._evidence / "load.err",
            )
        trace, waits = ((self._evidence / name).read_text(encoding="utf-8") for name in (_TRACE, _WAITS))
        return LoadResult(completed, trace_from_log(trace), waits_from_log(waits))

    def _put(self, name: str, text: str) -> None:
        self.shell.run(f"mkdir -p {_DIR}", timeout_s=_BEGIN_S)  # a reset of the guest takes the folder with it
        self.shell.put(text.encode(), f"{_DIR}/{name}")

    def _text(self, name: str) -> str:
        return self.shell.run(f"cat {_DIR}/{name} 2>/dev/null", timeout_s=_BEGIN_S, check=False).stdout

    def _once(self, rw: str, extra: str) -> None:
        """Write or verify the whole old area once."""
        text = f"[old]\n{_where(self.device, 0)}bs=64k\nrw={rw}\niodepth=4\n{_VERIFY}verify_interval=4k\n{extra}\n"
        self._put("once.fio", text)
        self.shell.run(f"cd {_DIR} && fio --output-format=terse once.fio >/dev/null", timeout_s=_PREPARE_S)

    def _job(self) -> str:
        endless = {
            "time_based": "1",
            "runtime": "1h",
            "max_latency": "60s",
            "exitall_on_error": "1",
        }
        logs = {
            "write_iops_log": "old",
            "write_lat_log": "old",
            "log_avg_msec": "100",
            "log_max_value": "1",  # of the latencies; what is averaged of a rate is one value
            "log_unix_epoch": "1",
            "per_job_logs": "1",
        }
        place = {"filename": self.device, "offset": "0", "size": f"{AREA_MIB}m"}
        unused = ("ramp_time", "group_reporting", "cpus_allowed", "cpus_allowed_policy")
        reads = {name: value for name, value in self._reads.items() if name not in unused}
        lines = [
            name if value is None else f"{name}={value}"
            for name, value in {**reads, **place, **endless, **logs}.items()
        ]
        written = "".join(f"{name}={value}\n" for name, value in endless.items())
        return (
            "\n".join(["[old]", *lines, "", ""])
            + f"[new]\n{_where(self.device, AREA_MIB)}{written}bs=4k\nrw=randwrite\niodepth=4\n{_VERIFY}"
            + "verify_backlog=256\n"
        )


def _where(device: str, offset_mib: int) -> str:
    return f"filename={device}\nioengine=libaio\ndirect=1\noffset={offset_mib}m\nsize={AREA_MIB}m\n"


def _totals(text: str) -> tuple[int, int]:
    """Return the completed requests and the failed workers of fio's report, which may have lines around it.

    :raise WorkloadError: there is no report.
    """
    start, end = text.find("{"), text.rfind("}")
    try:
        jobs = json.loads(text[start : end + 1])["jobs"]
        completed = sum(int(job[way]["total_ios"]) for job in jobs for way in ("read", "write"))
        return completed, sum(int(job["error"] != 0) for job in jobs)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as err:
        raise WorkloadError(f"fio's report cannot be read: {err!r}") from err
