"""Job files."""

from pathlib import Path

import pytest

from lab.errors import InputError
from lab.experiment.job import JobError, LoadedJob, load_job
from lab.machine.mapping import Device
from lab.settings import project_dir

GOOD = """\
title = "t"
fio = "fio/j.fio"

[machine]
vcpus = 4

[factors]
iothreads = [1, 2]
iodepth = [1, 64]

[judge]
metrics = ["iops"]

[profile.quick]
blocks = 6
runtime_s = 5
"""

FIO = "[global]\ntime_based=1\nruntime=60\ndirect=1\nmax_latency=30s\nioengine=libaio\n[j]\nrw=randread\nbs=4k\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the fio job that the good job names."""
    (tmp_path / "fio").mkdir()
    (tmp_path / "fio" / "j.fio").write_text(FIO)
    return tmp_path


def load(folder: Path, text: str) -> LoadedJob:
    """Load a job of this text."""
    path = folder / "job.toml"
    path.write_text(text)
    return load_job(path)


def test_a_good_job_is_read_with_its_fio_job(folder: Path) -> None:
    """Name, defaults, factors and the fio job come together."""
    loaded = load(folder, GOOD)
    assert loaded.name == "job"
    assert loaded.job.machine.device is Device.VIRTIO_SCSI
    assert loaded.job.factors == {"iothreads": (1, 2), "iodepth": (1, 64)}
    assert loaded.fio.rw == "randread"
    assert loaded.text == GOOD


@pytest.mark.parametrize("path", sorted((project_dir() / "jobs").glob("*.toml")), ids=lambda path: path.name)
def test_every_job_of_the_project_is_good(path: Path) -> None:
    """What we ship loads."""
    assert load_job(path).job.title


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("vcpus = 4", "vcpu = 4"), r"job\.toml:5: machine\.vcpu: there is no such key \(did you mean 'vcpus'\?\)"),
        (("vcpus = 4", "vcpus = 0"), r"job\.toml:5: machine\.vcpus: .*greater than or equal to 1"),
        (("vcpus = 4", 'vcpus = "4"'), r"job\.toml:5: machine\.vcpus: .*integer"),
        (('title = "t"\n', ""), r"job\.toml:1: title: this key is missing"),
        (("blocks = 6\n", ""), r"job\.toml:14: profile\.quick\.blocks: this key is missing"),
        (('["iops"]', '["iop"]'), r"job\.toml:12: judge\.metrics: there is no metric 'iop' \(did you mean 'iops'\?\)"),
        (('["iops"]', '["iops", "iops"]'), r"job\.toml:12: judge\.metrics: a metric is named twice"),
        (("iothreads = [1, 2]", "iothread = [1, 2]"), r"'iothread' is no factor \(did you mean 'iothreads'\?\)"),
        (("iothreads = [1, 2]", "iothreads = []"), r"factor 'iothreads' needs a list of levels"),
        (("iothreads = [1, 2]", "iothreads = 2"), r"factor 'iothreads' needs a list of levels"),
        (("iothreads = [1, 2]", "iothreads = [1, 1]"), r"factor 'iothreads' names a level twice"),
        (("iothreads = [1, 2]", "iothreads = [1, 99]"), r"less than or equal to 64"),
        (("iodepth = [1, 64]", "iodepth = [[1], 64]"), r"level \[1\] of 'iodepth' is not a finite number"),
        (
            ("iodepth = [1, 64]", 'iodepth = ["1\\nexec_prerun=reboot"]'),
            r"level .* of 'iodepth' is not a finite number",
        ),
        (("iodepth = [1, 64]", 'bs = ["4k"]\nblocksize = ["8k"]'), r"two names of one option of fio"),
        (("iodepth = [1, 64]", "randrepeat = [1, true]"), r"factor 'randrepeat' names a level twice"),
        (("iodepth = [1, 64]", f"iodepth = {list(range(1, 600))}"), r"the factors make more than 1000 points"),
        (("iodepth = [1, 64]", "timeout = [5, 10]"), r"'timeout' is no factor: the profile says how long"),
        (("iodepth = [1, 64]", "randseed = [5, 10]"), r"'randseed' is no factor: each run has a seed of its own"),
        (("iodepth = [1, 64]", "rate_iops = [inf]"), r"level inf of 'rate_iops' is not a finite number"),
        (("iodepth = [1, 64]", 'bs = ["4k\\u0007"]'), r"level .* of 'bs' is not a finite number"),
        (('"fio/j.fio"', '"a\\u0000b"'), r"is not a path"),
        (('"fio/j.fio"', f'"{"x" * 300}"'), r"is not a path"),
        (("iodepth = [1, 64]", 'path = ["a", "b"]'), r"'path' is no factor: it says whose disk it is"),
        (("iodepth = [1, 64]", 'cache = ["none", "no"]'), r"job\.toml:9: factors\.cache: .*'writeback'"),
        (
            ("iodepth = [1, 64]", "num_queues = [1, 2]\n[[machine.controller]]\nnum_queues = 1"),
            r"factor 'num_queues' has no effect",
        ),
        (
            (
                "iodepth = [1, 64]",
                "latency_ns = [0, 9]\n[[machine.controller]]\n[[machine.controller.disk]]\nlatency_ns = 1",
            ),
            r"factor 'latency_ns' has no effect",
        ),
        (("vcpus = 4", f"vcpus = {10**30}"), r"job\.toml:5: machine\.vcpus: .*less than or equal to 256"),
        (("vcpus = 4", 'memory_folder = "/dev/shm/../../etc"'), r"job\.toml:5: machine\.memory_folder: "),
        (("vcpus = 4", 'machine_type = "q35,accel=kvm"'), r"job\.toml:5: machine\.machine_type: "),
        (("vcpus = 4", 'backend = { path = "a\\u0000b" }'), r"job\.toml:5: machine\.backend\.path: "),
        (("[profile.quick]", "[profile.slow]"), r"default_profile 'quick' is not one of: slow"),
        (('"fio/j.fio"', '"../../etc/passwd"'), r"leaves the folder of the job file"),
        (('"fio/j.fio"', '"fio/none.fio"'), r"'fio/none\.fio' does not exist"),
    ],
)
def test_a_mistake_is_named_with_its_place(folder: Path, change: tuple[str, str], message: str) -> None:
    """Each wrong job gets one sentence that says where and what."""
    assert change[0] in GOOD or change[0].startswith("[factors]")
    with pytest.raises(InputError, match=message):
        load(folder, GOOD.replace(*change))


def test_factors_that_are_no_table_are_refused(folder: Path) -> None:
    """The whole table is named."""
    with pytest.raises(InputError, match=r"job\.toml:1: factors: factors is a table of name"):
        load(folder, "factors = 3\n" + GOOD.replace("[factors]", "[judge.x]"))


def test_all_mistakes_are_named_at_once(folder: Path) -> None:
    """Nobody wants to meet them one by one."""
    with pytest.raises(InputError) as caught:
        load(folder, GOOD.replace("vcpus = 4", "vcpu = 4").replace("runtime_s = 5", "runtime_s = 0"))
    assert len(caught.value.message.splitlines()) == 2


def test_a_factor_that_some_controller_leaves_open_has_an_effect(folder: Path) -> None:
    """The second controller says nothing, so it follows the factor."""
    text = GOOD.replace("iodepth = [1, 64]", "num_queues = [1, 2]") + "[[machine.controller]]\nnum_queues = 1\n"
    assert load(folder, text + "[[machine.controller]]\n").job.factors["num_queues"] == (1, 2)


def test_mistakes_are_values_with_their_lines(folder: Path) -> None:
    """For whoever shows them elsewhere than in a terminal."""
    with pytest.raises(JobError) as caught:
        load(folder, GOOD.replace("vcpus = 4", "vcpu = 4"))
    assert [(mistake.line, mistake.key) for mistake in caught.value.mistakes] == [(5, "machine.vcpu")]


def test_text_that_is_not_toml_is_named_with_its_place(folder: Path) -> None:
    """The TOML parser knows line and column."""
    with pytest.raises(InputError, match=r"job\.toml: .*line 1"):
        load(folder, "title = = 1\n")


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "x = " + "9" * 5000])
def test_text_that_only_wears_a_parser_out_is_an_input_error(folder: Path, text: str) -> None:
    """Neither deep nesting nor an endless number is a traceback."""
    with pytest.raises(InputError, match=r"job\.toml: "):
        load(folder, text)


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    """Missing files and files that are not text are told apart."""
    with pytest.raises(InputError, match="No such file"):
        load_job(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load_job(tmp_path / "x.toml")


def test_a_profile_is_found_by_name_or_by_default(folder: Path) -> None:
    """None is the default profile; a misspelt one gets a hint."""
    loaded = load(folder, GOOD)
    assert loaded.profile(None) == loaded.profile("quick")
    with pytest.raises(InputError, match=r"no profile 'quik' \(did you mean 'quick'\?\)"):
        loaded.profile("quik")


def test_a_sibling_must_stay_below_the_job_file(folder: Path) -> None:
    """A job cannot name a file elsewhere, through a symbolic link neither."""
    loaded = load(folder, GOOD)
    assert loaded.sibling("fio/j.fio").name == "j.fio"
    (folder / "link").symlink_to("/etc")
    with pytest.raises(InputError, match="leaves the folder"):
        loaded.sibling("link/passwd")
