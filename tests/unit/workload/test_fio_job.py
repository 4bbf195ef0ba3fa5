from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.settings import project_dir
from lab.workload.fio_job import FioJob, fio_job_from_text, read_fio_job
from lab.workload.fio_options import REFUSED

GOOD = """\
; a comment
[global]
ioengine=libaio
direct=1
  time_based
runtime=60
ramp_time = 5s
max_latency=30s
size=1g

# another comment
[reads]
rw=randread
bs=4k
iodepth=64
numjobs=4
"""
JOBS = sorted((project_dir() / "jobs" / "fio").glob("*.fio"))


def job(text: str = GOOD) -> FioJob:
    """Return the parsed job."""
    return fio_job_from_text(text, source="test.fio")


def refused(text: str) -> str:
    """Return why a text is refused."""
    with pytest.raises(InputError) as caught:
        job(text)
    return f"{caught.value.message} | {caught.value.remedy}"


def options(text: str) -> dict[str, str]:
    """Return all options of a rendered job."""
    return dict(line.partition("=")[::2] for line in text.splitlines() if line and not line.startswith("["))


def test_a_job_says_what_it_does() -> None:
    """Options come from [global] and the section, as written, with the durations in seconds beside them."""
    read = job()
    assert (read.name, read.rw, read.bs) == ("reads", "randread", "4k")
    assert (read.iodepth, read.numjobs, read.runtime, read.ramp_time) == (64, 4, "60", "5s")
    assert (read.runtime_s, read.ramp_time_s, read.duration_s) == (60.0, 5.0, 65.0)


def test_what_a_job_leaves_out_is_what_fio_takes() -> None:
    """Options that are not there have fio's defaults."""
    read = job("[r]\ndirect=1\ntime_based\nruntime=1\nmax_latency=1s\n")
    assert (read.rw, read.bs, read.iodepth, read.numjobs) == ("read", "4k", 1, 1)
    assert read.ramp_time == "0" and read.duration_s == 1.0


def test_the_section_wins_over_global() -> None:
    """An option in both places has the section's value, as in fio."""
    assert job(GOOD.replace("bs=4k", "bs=4k\nruntime=7")).runtime_s == 7.0


def test_other_spellings_are_the_same_option() -> None:
    """blocksize is bs and readwrite is rw, so that setting one never leaves the other behind."""
    read = job(GOOD.replace("\nbs=", "\nblocksize=").replace("\nrw=", "\nreadwrite="))
    assert read.bs == "4k" and read.with_options(bs="8k", readwrite="randwrite").rw == "randwrite"
    assert "blocksize" not in read.to_text()


def test_options_are_replaced_where_they_stand() -> None:
    """Setting an option changes it and nothing else, and the job that was given stays as it was."""
    before = job()
    after = before.with_options(iodepth=8, runtime="5s", time_based=True, hipri=False)
    assert (after.iodepth, after.runtime_s, before.iodepth, before.runtime_s) == (8, 5.0, 64, 60.0)
    assert options(after.to_text()) == {
        **options(before.to_text()),
        "iodepth": "8",
        "runtime": "5s",
        "time_based": "1",
        "hipri": "0",
    }


def test_an_unknown_factor_is_refused() -> None:
    """A factor that fio does not know is found before anything is built."""
    with pytest.raises(InputError, match="did you mean 'iodepth'"):
        job().with_options(iodeph=8)


@pytest.mark.parametrize("value", ["8\nexec_prerun=reboot", "8\r", "\x1b[2J", "ä"])
def test_a_value_cannot_bring_another_option(value: str) -> None:
    """A level of a factor is one value on one line."""
    with pytest.raises(InputError, match="printable ASCII"):
        job().with_options(iodepth=value)


@pytest.mark.parametrize(
    ("options_set", "why"),
    [
        ({"ioengine": "exec"}, "it runs a program"),
        ({"time_based": 0}, "time_based"),
        ({"iodepth": 0}, "not a whole number from 1"),
        ({"numjobs": "4k"}, "not a whole number from 1"),
        ({"runtime": "soon"}, "not a duration"),
        ({"ramp_time": "x"}, "not a duration"),
        ({"runtime": 0}, "time_based and runtime"),
    ],
)
def test_a_factor_cannot_make_a_job_that_is_refused(options_set: dict[str, str | int], why: str) -> None:
    """A job with options set is checked like one that was read."""
    with pytest.raises(InputError, match=why):
        job().with_options(**options_set)


def test_in_a_guest_the_job_gets_the_disk_and_a_worker_per_vcpu() -> None:
    """The lab fills in what depends on the machine: the disk, where the workers run, the trace."""
    text = job().in_guest("/dev/sda", vcpus=4).to_text()
    found = options(text)
    assert found["filename"] == "/dev/sda" and "size" not in found
    assert (found["cpus_allowed"], found["cpus_allowed_policy"]) == ("0-3", "split")
    assert (found["write_iops_log"], found["log_avg_msec"], found["per_job_logs"]) == ("fio", "1000", "1")
    assert (found["group_reporting"], found["exitall_on_error"]) == ("1", "1")
    assert "unified_rw_reporting" not in found


def test_in_a_guest_with_one_vcpu_there_is_one_place() -> None:
    """A list of one CPU is written as one."""
    assert options(job().in_guest("/dev/vda", vcpus=1).to_text())["cpus_allowed"] == "0"


def test_placement_in_the_file_is_left_alone() -> None:
    """A job that places its workers itself is believed."""
    own = job(GOOD + "cpus_allowed=1\n").in_guest("/dev/sda", vcpus=4)
    assert options(own.to_text())["cpus_allowed"] == "1"
    assert "cpus_allowed_policy" not in own.to_text()


@pytest.mark.parametrize("rw", ["randrw", "rw", "readwrite:4"])
def test_mixed_jobs_are_asked_for_percentiles_of_both(rw: str) -> None:
    """Percentiles of reads and writes cannot be put together afterwards, so fio is asked for them."""
    mixed = job(GOOD.replace("rw=randread", f"rw={rw}")).in_guest("/dev/sda", vcpus=2)
    assert options(mixed.to_text())["unified_rw_reporting"] == "both"


def test_what_is_written_reads_back() -> None:
    """The text of a job is a job file with the same meaning."""
    job_ = job().in_guest("/dev/sda", vcpus=4)
    again = fio_job_from_text(job_.to_text(), source="test.fio")
    assert (again.general, again.own, again.name) == (job_.general, job_.own, job_.name)


@pytest.mark.parametrize(
    ("without", "why"),
    [
        ("  time_based\n", "time_based and runtime"),
        ("runtime=60\n", "time_based and runtime"),
        ("direct=1\n", "direct=1"),
        ("max_latency=30s\n", "max_latency"),
    ],
)
def test_a_job_that_would_measure_something_else_is_refused(without: str, why: str) -> None:
    """runtime needs time_based, the page cache is bypassed, and a stalled disk ends the run."""
    assert why in refused(GOOD.replace(without, ""))


def test_buffered_io_is_refused() -> None:
    """direct=0 is as bad as no direct."""
    assert "direct=1" in refused(GOOD.replace("direct=1", "direct=0"))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_options_that_do_more_than_io_are_refused(name: str) -> None:
    """A job file runs no commands and reads no other files, wherever the option stands."""
    for text in (
        GOOD + f"{name}=x\n",
        GOOD.replace("[global]", f"[global]\n {name} = x"),
        GOOD + f"{name} other.fio\n",
    ):
        assert f"'{name}' is refused: {REFUSED[name]}" in refused(text)


def test_an_engine_that_runs_programs_is_refused_in_a_file() -> None:
    """The file cannot start programs through the ioengine either."""
    assert "it runs a program" in refused(GOOD.replace("libaio", "exec"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 job sections instead of one"),
        ("[global]\ndirect=1\n", "0 job sections instead of one"),
        (GOOD + "[writes]\nrw=write\n", "2 job sections instead of one"),
        (GOOD + "[global]\nbs=8k\n", "test.fio:17: [global] below the job has no effect"),
        ("bs=4k\n" + GOOD, "test.fio:1: 'bs=4k' stands before any [section]"),
        (GOOD + "[broken\n", "'[broken' is not a [section]"),
        (GOOD + "=5\n", "'=5' is not an option of fio"),
        (GOOD + "--bs=5\n", "'--bs=5' is not an option of fio"),
        (GOOD + "bs=\x1b[2J\n", "printable ASCII"),
    ],
)
def test_what_is_no_job_file_is_refused(text: str, why: str) -> None:
    """Each way of being wrong is named, with the line where there is one."""
    assert why in refused(text)


def test_a_file_that_cannot_be_read_is_the_users_error(tmp_path: Path) -> None:
    """A missing file and a binary one are input errors that name the file."""
    with pytest.raises(InputError, match=r"none\.fio cannot be read: No such file"):
        read_fio_job(tmp_path / "none.fio")
    (tmp_path / "binary.fio").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"binary\.fio cannot be read: it is not UTF-8"):
        read_fio_job(tmp_path / "binary.fio")


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_the_jobs_of_the_lab_are_accepted(path: Path) -> None:
    """Every job under jobs/fio/ can be used, measures as long as the field does, and is named after its file."""
    read = read_fio_job(path)
    assert (read.runtime_s, read.ramp_time_s, read.name) == (60.0, 5.0, path.stem)
    assert read.in_guest("/dev/sda", vcpus=4).checked()


def test_there_are_jobs() -> None:
    """The test above has something to test."""
    assert len(JOBS) >= 4


@given(st.text(max_size=400))
def test_any_text_is_a_job_or_an_input_error(text: str) -> None:
    """No text, however strange, ends in anything but a job or an input error."""
    with contextlib.suppress(InputError):
        job(text)


@given(st.text(max_size=40), st.sampled_from(["iodepth", "bs", "rw", "runtime", "rate_iops"]))
def test_no_value_changes_the_shape_of_a_job(value: str, name: str) -> None:
    """Whatever a level is, the text keeps one job section and gains no option."""
    try:
        text = job().with_options(**{name: value}).to_text()
    except InputError:
        return
    assert options(text).keys() - {name} <= options(job().to_text()).keys()
    assert text.count("\n[") == 1
