import os
from pathlib import Path

import pytest

from lab.analysis.csv_file import CsvSettings, read_csv
from lab.analysis.results import Results
from lab.errors import InputError

GOOD = """\
arm,block,host,iothreads,rw,iops,clat_p99_ns
baseline,1,a,2,randread,1000,5000
candidate,1,a,2,randread,1100,
"""


def read(tmp_path: Path, text: str | bytes, settings: CsvSettings | None = None) -> Results:
    """Write a file and read it."""
    file = tmp_path / "data.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(file, settings or CsvSettings())


def test_lines_become_records(tmp_path: Path) -> None:
    """Metric columns hold values, an empty cell is a missing one, all other columns are factors."""
    results = read(tmp_path, GOOD)
    first, second = results.records
    assert first.scheduled.cell.id == "baseline.iothreads=2.rw=randread" and first.host == "a"
    assert first.metrics == {"iops": 1000, "clat_p99_ns": 5000} and second.metrics == {"iops": 1100}
    assert [metric.name for metric in results.question.metrics] == ["iops", "clat_p99_ns"]
    assert results.tier == "unknown" and "iothreads, rw" in results.warnings[0]


def test_metrics_can_be_chosen(tmp_path: Path) -> None:
    """Only the named metric decides, with the given settings."""
    question = read(tmp_path, GOOD, CsvSettings(("clat_p99_ns",), 0.1, 0.01)).question
    assert [metric.name for metric in question.metrics] == ["clat_p99_ns"]
    assert (question.smallest_effect, question.alpha) == (0.1, 0.01)


def test_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    """Spreadsheets write both."""
    assert len(read(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + b"\r\n").records) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'arm'"),
        ("arm,iops\n", "no column 'block'"),
        ("arm,block,colour\n", "no column is a metric"),
        ("arm,block,iops,iops\n", "twice"),
        ("arm,block,,iops\n", "no name"),
        ("arm,block,iops\n", "no line with values"),
        ("arm,block,iops\nbaseline,1,nan\n", "data.csv:2: iops is nan"),
        ("arm,block,iops\nbaseline,1,-5\n", "data.csv:2: iops is -5"),
        ("arm,block,iops\nbaseline,1,inf\n", "data.csv:2: iops is inf"),
        ("arm,block,iops\nbaseline,1,fast\n", "data.csv:2: iops 'fast'"),
        ("arm,block,iops\nbaseline,0,1\n", "data.csv:2: block '0'"),
        ("arm,block,iops\nbaseline,1,1.7e308\n", "data.csv:2: iops is 1.7e308"),
        (f"arm,block,iops\nbaseline,{'9' * 5000},1\n", "data.csv:2: block"),
        ("arm,block,iops\nbaseline,1000000001,1\n", "data.csv:2: block"),
        ("arm,block,a,iops\nbaseline,1,1,5\nbaseline,2,1.0,5\n", "cannot be told apart"),
        ("arm,block,iops\nbaseline,\u0661,1\n", "data.csv:2: block"),
        ("arm,block,iops\nold,1,1\n", "data.csv:2: 'old'"),
        ("arm,block,iops\nbaseline,1\n", "data.csv:2: 2 fields"),
        ("arm,block,iops\n<<<<<<< HEAD\n", "data.csv:2: .*merge-conflict"),
        ("arm,block,iops\nbaseline,1,1\nbaseline,1,2\n", "data.csv:3: .*already"),
        (b"arm,block,iops\nbaseline,1,\xff\n", "not a CSV file"),
        ('arm,block,iops\n"baseline,1,1\n', "not a CSV file"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str | bytes, words: str) -> None:
    """Every kind of damage is an input error."""
    with pytest.raises(InputError, match=words):
        read(tmp_path, text)


def test_a_metric_that_is_not_there(tmp_path: Path) -> None:
    """Asking for a column that the file lacks, or for no metric at all, is an error."""
    with pytest.raises(InputError, match="no column 'boot_s'"):
        read(tmp_path, GOOD, CsvSettings(("boot_s",)))
    with pytest.raises(InputError, match="no metric 'speed'"):
        read(tmp_path, GOOD, CsvSettings(("speed",)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message says why it cannot be read."""
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_csv(tmp_path / "none.csv", CsvSettings())


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "9" * 400, "9" * 5000])
def test_a_level_that_is_no_number_is_a_word(tmp_path: Path, text: str) -> None:
    """No such number could be written as JSON or put on an axis."""
    results = read(tmp_path, f"arm,block,a,iops\nbaseline,1,{text},5\n")
    assert results.records[0].scheduled.cell.point.levels == (("a", text),)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Only regular files are read."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        read_csv(tmp_path / "pipe", CsvSettings())
