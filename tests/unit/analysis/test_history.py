"""Results in the order of time become histories; what was not measured alike is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.history import Value, trend_of
from lab.analysis.results import Results, read_results
from lab.errors import InputError, NotComparableError
from tests.unit.analysis.campaign import BUILD, BUILDS, EXPERIMENT, HOST, Campaign, write_campaign


def night(root: Path, number: int, effect: float = 1.0, speed: float = 1.0, **changes: object) -> Results:
    """Return the results of a night, read again."""
    level = Campaign().level
    campaign = Campaign(seed=number, effect=lambda point: effect, level=lambda point: speed * level(point))
    records = [replace(run, started_at=f"2026-01-{number:02}T00:00:00Z") for run in campaign.records()]
    return read_results(write_campaign(root / f"n{number:02}", campaign, records=records, **changes))  # type: ignore[arg-type]


def test_a_lasting_change_is_found(tmp_path: Path) -> None:
    """Ten nights, given in any order; from the seventh on the candidate is 15 % slower at every point."""
    nights = [night(tmp_path, number, 1.0 if number <= 6 else 0.85) for number in range(1, 11)]
    trend = trend_of(nights[::-1], Value.RATIO)
    assert trend.changed and len(trend.histories) == 3
    for history in trend.histories:
        assert [entry.name for entry in history.entries] == [f"n{number:02}" for number in range(1, 11)]
        assert [level.first for level in history.levels] == [0, 6]
        (change,) = history.changes
        assert change.first == 6 and change.change == pytest.approx(-0.15, abs=0.02) and not change.of_host
        assert change.control == pytest.approx(0, abs=0.03)


def test_the_history_of_an_arm(tmp_path: Path) -> None:
    """Medians of one arm have an interval by order statistics, and a warning about the host; two nights are too few."""
    trend = trend_of([night(tmp_path, 1), night(tmp_path, 2)], Value.BASELINE)
    assert not trend.changed
    assert all(entry.low < entry.value < entry.high for entry in trend.histories[0].entries)
    assert any("what the host did" in text for text in trend.warnings)
    assert any("2 results; 6 are the fewest" in text for text in trend.warnings)
    assert trend_of([night(tmp_path / "c", 1), night(tmp_path / "c", 2)], Value.CANDIDATE).histories


def test_builds_that_were_edited_by_hand_have_no_binary(tmp_path: Path) -> None:
    """What builds.json says of the baseline may be anything: then nobody knows whether it was the same binary."""
    edited: tuple[object, ...] = ("a word", {"binary_sha256": ["a"], "commit": 1}, [])
    for number, baseline in enumerate(edited):
        nights = [night(tmp_path / str(number), day, builds={"baseline": baseline}) for day in (1, 2)]
        assert trend_of(nights, Value.RATIO).histories[0].entries[0].baseline_sha256 is None


def test_another_host_is_not_of_the_history(tmp_path: Path) -> None:
    """Host, kernel and machine are listed where they differ."""
    other = night(tmp_path, 2, host={**HOST, "kernel_release": "7.0"}, experiment=EXPERIMENT + "[machine]\nvcpus = 9\n")
    with pytest.raises(NotComparableError) as caught:
        trend_of([night(tmp_path, 1), other], Value.RATIO)
    assert "kernel_release" in caught.value.message and "machine.vcpus" in caught.value.message


def test_one_result_is_no_history(tmp_path: Path) -> None:
    """A single result, or one twice, has no history."""
    one = night(tmp_path, 1)
    for several in ([one], [one, one]):
        with pytest.raises(InputError, match="two or more different results"):
            trend_of(several, Value.RATIO)


def test_other_base_commits_are_a_warning(tmp_path: Path) -> None:
    """A ratio also changes when its base does."""
    one, other = night(tmp_path, 1), night(tmp_path, 2)
    moved = replace(other, builds={**other.builds, "baseline": {"commit": "f" * 40}})
    assert any("different base commits" in text for text in trend_of([one, moved], Value.RATIO).warnings)


@pytest.mark.parametrize("value", list(Value))
def test_a_host_that_changed_is_told_from_the_candidate(tmp_path: Path, value: Value) -> None:
    """From the seventh night on everything is 30 % slower: no ratio changes, and an arm's change is the host's."""
    nights = [night(tmp_path, number, speed=1.0 if number <= 6 else 0.7) for number in range(1, 11)]
    trend = trend_of(nights, value)
    assert not trend.changed
    assert any("the host wandered: IOPS of the same baseline binary lay between" in text for text in trend.warnings)
    for history in trend.histories if value is not Value.RATIO else ():
        (change,) = history.changes
        assert change.of_host and change.control == pytest.approx(-0.3, abs=0.03)


def test_a_candidate_that_changed_beside_the_host(tmp_path: Path) -> None:
    """It lost 40 % more when the host lost 10 %: less than half is the host's. Without a common binary nobody knows."""
    steps = [(1.0, 1.0) if number <= 6 else (0.6, 0.9) for number in range(1, 11)]
    nights = [night(tmp_path, number, *step) for number, step in enumerate(steps, start=1)]
    trend = trend_of(nights, Value.CANDIDATE)
    assert trend.changed and all(not change.of_host for history in trend.histories for change in history.changes)
    others = [
        replace(one, builds={**one.builds, "baseline": {**one.builds["baseline"], "binary_sha256": str(number)}})
        for number, one in enumerate(nights)
    ]
    trend = trend_of(others, Value.CANDIDATE)
    assert {change.control for history in trend.histories for change in history.changes} == {None}
    assert not any("wandered" in text for text in trend.warnings)


def test_what_must_not_be_read_as_a_result_is_a_warning(tmp_path: Path) -> None:
    """An experiment that is not finished, or whose arms are not alike, has a value that nobody judged."""
    unlike = night(tmp_path, 2, builds=BUILDS | {"candidate": BUILD | {"compiler": "other"}})
    whole = night(tmp_path, 3)
    unfinished = replace(whole, records=whole.records[:-2])
    warnings = trend_of([night(tmp_path, 1), unlike, unfinished], Value.RATIO).warnings
    assert "n03 is not finished: 2 of its scheduled runs were not made" in warnings
    assert [text for text in warnings if text.startswith("the arms of n02 cannot be compared")]
    assert not [text for text in warnings if "n01" in text]
