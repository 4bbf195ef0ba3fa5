from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WorkloadError
from lab.units import METRICS
from lab.workload.fio_output import FioResult, parse_fio_output

DATA = Path(__file__).parents[2] / "data" / "fio"
RANDREAD = (DATA / "guest-randread.json").read_text()


def changed(change: Callable[[dict[str, Any]], None], name: str = "guest-randread") -> str:
    """Return a recorded result with one thing changed."""
    report = json.loads((DATA / f"{name}.json").read_text())
    change(report)
    return json.dumps(report, indent=2)


def failure(text: str) -> str:
    """Return why a text is no result."""
    with pytest.raises(WorkloadError) as caught:
        parse_fio_output(text)
    return caught.value.message


def test_a_result_is_read() -> None:
    """The numbers of a grouped job are fio's own, in the lab's units."""
    result = parse_fio_output(RANDREAD)
    assert result.version == "fio-3.33" and result.junk == "" and result.errors == 0
    assert (result.iops, result.total_ios, result.runtime_ms) == (9969.823356, 40637, 4076)
    assert result.bandwidth_mib_s == pytest.approx(41092647 / 1048576)
    assert result.clat_mean_ns == 25478047.093839
    assert (result.clat_p50_ns, result.clat_p99_ns, result.clat_p999_ns) == (12124160, 179306496, 252706816)
    assert (result.usr_cpu_percent, result.sys_cpu_percent) == (7.435499, 35.903015)
    assert result.write is None and result.read is not None and result.read.iops == result.iops


def test_the_metrics_are_those_of_the_lab() -> None:
    """Each metric is a known one, with fio's value."""
    metrics = parse_fio_output(RANDREAD).metrics()
    assert metrics.keys() <= METRICS.keys() and len(metrics) == 6
    assert metrics["clat_p999_ns"] == 252706816


def test_both_directions_have_percentiles_where_fio_was_asked() -> None:
    """With unified_rw_reporting=both the numbers of both directions are fio's own, and each direction has its own."""
    result = parse_fio_output((DATA / "guest-randrw.json").read_text())
    assert (result.iops, result.clat_p99_ns) == (12509.349289, 117964800)
    assert result.read is not None and result.write is not None
    assert result.read.iops + result.write.iops == pytest.approx(result.iops, abs=0.01)


def test_both_directions_are_added_where_fio_was_not_asked() -> None:
    """The rates add up and the mean is weighted, but percentiles cannot be put together and are left out."""
    result = parse_fio_output((DATA / "mixed.json").read_text())
    assert result.iops == pytest.approx(2123678.66067 + 910827.586207)
    assert result.total_ios == 4249481 + 1822566
    expected = (202.696105 * 4249481 + 194.607276 * 1822566) / (4249481 + 1822566)
    assert result.clat_mean_ns == pytest.approx(expected)
    assert result.clat_p99_ns is None
    assert result.metrics().keys() == {"iops", "bandwidth_mib_s", "clat_mean_ns"}


def test_workers_without_group_reporting_are_added() -> None:
    """Two workers' results become one; their CPU use is averaged, their percentiles left out."""
    result = parse_fio_output((DATA / "ungrouped.json").read_text())
    assert result.iops == pytest.approx(1991894.052974 + 2011697.151424)
    assert result.usr_cpu_percent == pytest.approx((49.35 + 49.75) / 2)
    assert result.clat_p50_ns is None and result.clat_mean_ns is not None


def test_latency_that_was_not_measured_is_not_zero() -> None:
    """With disable_clat fio prints a mean of 0.0 over no samples; that is no metric."""
    result = parse_fio_output((DATA / "no-clat.json").read_text())
    assert result.clat_mean_ns is None and "clat_mean_ns" not in result.metrics()


def test_text_around_the_result_is_kept_apart() -> None:
    """Warnings before and after the object, with braces in them too, do not matter and are not lost."""
    text = f'fio: warning: {{odd}} "fio version"\n{RANDREAD}\nfio: bye {{\n'
    result = parse_fio_output(text)
    assert result.iops == 9969.823356
    assert result.junk == 'fio: warning: {odd} "fio version"\n\n\nfio: bye {'


def test_of_several_results_the_last_whole_one_counts() -> None:
    """With --status-interval fio prints one object after another, and the last may be cut off."""
    first = changed(lambda report: report["jobs"][0]["read"].update(iops=1.0))
    assert parse_fio_output(first + RANDREAD).iops == 9969.823356
    assert parse_fio_output(first + RANDREAD[:2000]).iops == 1.0


@pytest.mark.parametrize("word", ["nan", "-nan", "inf", "NaN"])
def test_numbers_that_are_none_do_not_hide_the_others(word: str) -> None:
    """fio prints nan for some averages, which JSON does not have; what the lab reads is still there."""
    text = RANDREAD.replace('"iops_stddev" : ', f'"iops_stddev" : {word},\n"was" : ', 1)
    assert word in text
    assert parse_fio_output(text).iops == 9969.823356


@pytest.mark.parametrize("word", ["nan", "NaN", "-inf", "Infinity", "-5", '"fast"', "null"])
def test_a_rate_that_is_none_is_an_error(word: str) -> None:
    """A metric that is not a number never becomes one."""
    text = RANDREAD.replace('"iops" : 9969.823356', f'"iops" : {word}', 1)
    assert "jobs.0.read.iops" in failure(text)


def test_a_result_that_is_cut_off_is_an_error() -> None:
    """Half a report is not a report, wherever it ends."""
    for length in (20, 500, len(RANDREAD) // 2, len(RANDREAD) - 3):
        assert failure("fio: disk went away\n" + RANDREAD[:length]) == "fio's result is cut off:\nfio: disk went away"


def test_no_result_is_an_error_that_shows_what_was_said() -> None:
    """The last lines of what was printed instead are in the message."""
    said = "\n".join(f"line {number}" for number in range(20))
    assert failure(said) == "fio printed no result:\n" + "\n".join(f"line {number}" for number in range(15, 20))
    assert failure("") == "fio printed no result"
    assert failure('{"jobs": []}') == 'fio printed no result:\n{"jobs": []}'


def test_a_failed_worker_is_an_error_with_its_reason() -> None:
    """What max_latency ended is not a result; fio's own line says why."""
    message = failure((DATA / "guest-dead.json").read_text())
    assert "fio's job 'randread-4k' failed: error 110, Connection timed out" in message
    assert "func=max latency exceeded" in message


def test_the_error_of_any_worker_counts() -> None:
    """Without group_reporting the second worker's failure is found too."""
    text = changed(lambda report: report["jobs"][1].update(error=5), "ungrouped")
    assert "error 5, Input/output error" in failure(text)


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ("read", "iops", 1e18),
        ("read", "iops", 10**400),
        ("read", "bw_bytes", 10**400),
        ("read", "total_ios", 10**400),
        ("job", "error", 10**400),
        ("job", "total_err", -1),
    ],
)
def test_numbers_that_nothing_can_be_made_of_are_an_error(where: str, key: str, value: float) -> None:
    """What a guest says may have no room in a float, and no error has such a number."""

    def change(report: dict[str, Any]) -> None:
        job = report["jobs"][0]
        (job if where == "job" else job[where])[key] = value

    assert f"{key}: " in failure(changed(change))


def test_errors_that_were_allowed_are_counted() -> None:
    """continue_on_error lets errors pass, and the result says how many."""
    assert parse_fio_output(changed(lambda report: report["jobs"][0].update(total_err=3))).errors == 3


def test_no_io_is_an_error() -> None:
    """A run that read and wrote nothing has no rate, not the rate 0."""
    text = changed(lambda report: report["jobs"][0]["read"].update(total_ios=0))
    assert failure(text) == "fio read and wrote nothing"


@pytest.mark.parametrize("key", ["error", "read", "write", "usr_cpu", "jobname"])
def test_what_every_result_has_must_be_there(key: str) -> None:
    """A result without one of its parts is not guessed at; the message names the part."""

    def remove(report: dict[str, Any]) -> None:
        del report["jobs"][0][key]

    assert f"jobs.0.{key}" in failure(changed(remove))


def test_a_result_without_jobs_is_an_error() -> None:
    """An empty list of jobs is no result."""
    assert "jobs" in failure(changed(lambda report: report["jobs"].clear()))


def test_the_evidence_goes_with_the_error() -> None:
    """The error says where the output is kept."""
    for text in ("", changed(lambda report: report["jobs"][0].update(error=5))):
        with pytest.raises(WorkloadError) as caught:
            parse_fio_output(text, evidence=Path("fio.json"))
        assert caught.value.evidence == Path("fio.json")


def test_nesting_without_end_is_an_error() -> None:
    """Braces that would exhaust a parser are refused like any other damage."""
    assert "cut off" in failure('{"fio version": ' + '{"a": ' * 200_000)


def _is_sound(result: FioResult) -> bool:
    return result.iops >= 0 and result.total_ios > 0 and all(value >= 0 for value in result.metrics().values())


@given(st.data())
def test_a_damaged_result_is_a_result_or_a_workload_error(data: st.DataObject) -> None:
    """Whatever is cut out or put in, there are sound numbers or an error of the workload, nothing else."""
    begin = data.draw(st.integers(0, len(RANDREAD)))
    length = data.draw(st.integers(0, 200))
    put_in = data.draw(st.text(max_size=20))
    try:
        result = parse_fio_output(RANDREAD[:begin] + put_in + RANDREAD[begin + length :])
    except WorkloadError:
        return
    assert _is_sound(result)


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_may_stand_around_a_result(before: str, after: str) -> None:
    """No text before or after hides the result."""
    assert parse_fio_output(f"{before}\n{RANDREAD}\n{after}").iops == 9969.823356
