"""Campaigns without a difference become a calibration, which is kept as a file and found again by host and job."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.calibrate import Campaign as Judged
from lab.analysis.calibrate import calibration_from_campaigns
from lab.analysis.calibration import (
    Calibration,
    Target,
    calibration_of,
    calibration_sentence,
    path_of,
    read_calibration,
    target_of,
    text_from_calibration,
)
from lab.analysis.compare import Comparison, compare_results
from lab.analysis.results import read_results
from lab.errors import InputError
from lab.record import Arm, Outcome
from tests.unit.analysis.campaign import Campaign, write_campaign


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))


def compared(folder: Path, campaign: Campaign) -> Comparison:
    """Return a written campaign, judged."""
    return compare_results(read_results(write_campaign(folder, campaign)))


def calibrated(tmp_path: Path, *, noise: float = 0.02, slower: float = 0.8) -> Calibration:
    """Return the calibration of an A/A campaign of 12 blocks, a rebuild and an injected slowdown."""
    alike = compared(tmp_path / "alike", Campaign(blocks=12, noise=noise))
    rebuilt = compared(tmp_path / "rebuild", Campaign(seed=5, noise=noise, effect=lambda point: 0.99))
    slowed = compared(tmp_path / "latency", Campaign(seed=6, noise=noise, effect=lambda point: slower))
    target = target_of(alike.results)
    assert target is not None
    others = [Judged("rebuild", 0, rebuilt), Judged("latency", 1000, slowed)]
    return calibration_from_campaigns(target, alike, others, blocks=6, measured_at="2026-01-02T03:04:05+00:00")


def test_the_noise_that_was_put_in_comes_out(tmp_path: Path) -> None:
    """The spread of a pair is the noise of a run times the root of two, at each point."""
    found = calibrated(tmp_path)
    assert [noise.pairs for noise in found.noise] == [12, 12, 12]
    assert all(0.6 < noise.spread / (0.02 * 2**0.5) < 1.5 for noise in found.noise)
    assert found.spread_of("iothreads=4", "iops") == found.noise[2].spread
    assert found.spread_of("iothreads=9", "iops") is None


def test_rates_of_a_quiet_host(tmp_path: Path) -> None:
    """Without a difference few resampled experiments raise an alarm, and no real one does; the rate has an interval."""
    found = calibrated(tmp_path)
    assert 0 <= found.false_alarm_low <= found.false_alarm_rate <= found.false_alarm_high <= 0.2
    assert found.false_alarm_rate <= 0.07
    assert (found.campaigns, found.alarms) == (2, 0)


def test_the_smallest_change_grows_with_the_noise(tmp_path: Path) -> None:
    """Twice the noise hides about twice the loss."""
    quiet = calibrated(tmp_path / "quiet", noise=0.01).smallest_change
    loud = calibrated(tmp_path / "loud", noise=0.02).smallest_change
    assert quiet is not None and loud is not None
    assert 0.01 < quiet < 0.06 and 1.5 < loud / quiet < 2.5


def test_rebuilds_and_slowdowns_are_told_apart(tmp_path: Path) -> None:
    """Layout noise is what the rebuild moved; what the injected slowdown moved, and its verdict, stand beside it."""
    found = calibrated(tmp_path)
    assert found.layout_noise is not None and found.layout_noise < 0.06
    slowed = [shift for shift in found.shifts if shift.kind == "latency"]
    assert {shift.verdict for shift in slowed} == {"REGRESSED"}
    assert all(shift.latency_ns == 1000 and shift.low < -0.2 < shift.high + 0.05 for shift in slowed)
    assert found.folders == ("alike", "rebuild", "latency")


def test_nobody_built_again(tmp_path: Path) -> None:
    """Without a rebuild the layout noise is not known, and the sentence says so."""
    found = replace(calibrated(tmp_path), shifts=())
    assert found.layout_noise is None
    assert calibration_sentence(found).endswith("what building the same source again moves was not measured")


def test_a_rebuild_that_moved_no_more_than_noise_is_not_given_a_size(tmp_path: Path) -> None:
    """The largest of several point estimates is large by chance; only an interval without 0 makes it a size."""
    found = calibrated(tmp_path)
    one = next(shift for shift in found.shifts if shift.kind == "rebuild")
    noise = replace(one, change=-0.098, low=-0.226, high=0.011)
    said = calibration_sentence(replace(found, shifts=(noise, replace(one, change=0.001, low=-0.01, high=0.02))))
    assert said.endswith("moved the result by nothing that can be told from noise ([-22.6, +1.1] %)")
    sure = replace(one, change=-0.02, low=-0.03, high=-0.01)
    assert calibration_sentence(replace(found, shifts=(noise, sure))).endswith("moved the result by 2.0 %")


def test_the_rate_is_said_with_its_bias(tmp_path: Path) -> None:
    """The interval comes first: the share of resampled experiments errs upwards."""
    found = replace(calibrated(tmp_path), false_alarm_rate=0.094, false_alarm_low=0.024, false_alarm_high=0.324)
    assert "false alarms [2.4, 32.4] % (9.4 % by resampling, which errs upwards)" in calibration_sentence(found)


def test_a_change_that_is_never_caught() -> None:
    """A point at which nothing is caught leaves the host without a smallest change."""
    noise = tuple(
        {"point": "all", "metric": "iops", "pairs": 6, "spread": 1.0, "smallest_change": change}
        for change in (None, 0.1)
    )
    value = {**EMPTY, "noise": noise}
    found = read_text(value)
    assert found.smallest_change is None
    assert "no change is caught in 80 % of experiments at 1 of 2 points" in calibration_sentence(found)
    assert "of experiments;" in calibration_sentence(replace(found, noise=found.noise[:1]))


EMPTY = {
    "format": 1,
    "target": {"host": "00", "accelerator": "tcg", "job": "j", "profile": "p"},
    "measured_at": "2026-01-02T03:04:05+00:00",
    "alpha": 0.05,
    "blocks": 6,
    "campaigns": 1,
    "alarms": 0,
    "false_alarm_rate": 0.03,
    "false_alarm_low": 0.01,
    "false_alarm_high": 0.05,
    "noise": (),
    "shifts": (),
    "folders": (),
    "conditions": (),
}


def read_text(value: dict[str, object]) -> Calibration:
    """Return the calibration of a JSON object, through the file it is kept in."""
    path = path_of(Target("00", "tcg", "j", "p"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return read_calibration(path)


def test_it_is_found_again_by_host_and_job(tmp_path: Path) -> None:
    """What was written for a host, job and profile is found from results of these, and from no others."""
    found = calibrated(tmp_path)
    path = path_of(found.target)
    path.parent.mkdir(parents=True)
    path.write_text(text_from_calibration(found))
    results = read_results(tmp_path / "latency")
    assert calibration_of(results) == found
    assert calibration_of(replace(results, host={**results.host, "fingerprint": "another"})) is None
    assert calibration_of(replace(results, question=replace(results.question, chosen=()))) is None
    comparison = compare_results(results, found)
    assert comparison.calibrated and any("calibrated 2026-01-02" in caveat.text for caveat in comparison.caveats)
    assert not compare_results(results).calibrated


def test_a_calibration_of_other_conditions_is_stale(tmp_path: Path) -> None:
    """Another fio job or smallest effect under the same name, tuning, host or session: uncalibrated."""
    found = calibrated(tmp_path)
    results = read_results(tmp_path / "latency")
    question = results.question
    fio = tuple((name, "other.fio" if name == "fio" else text) for name, text in question.settings)
    image = (*((name, text) for name, text in question.settings if name != "image"), ("image", "another"))
    changed = {
        "had another fio": replace(results, question=replace(question, settings=fio)),
        "had another judge.iops": replace(results, question=replace(question, smallest_effect=0.5)),
        "had another host.guest_image": replace(
            results, question=replace(question, settings=image), host={**results.host, "guest_image": "another"}
        ),
        "had another host.turbo": replace(results, host={**results.host, "turbo": "another"}),
        "runs of other hosts": replace(results, records=(replace(results.records[0], host="x"), *results.records[1:])),
        "in two sessions": replace(results, controls={}),
    }
    for reason, other in changed.items():
        comparison = compare_results(other, found)
        assert not comparison.calibrated
        (said,) = [caveat.text for caveat in comparison.caveats if "uncalibrated: " in caveat.text]
        assert reason in said and "image, image" not in said
    campaign = (*question.settings, ("control", "alike"))
    assert compare_results(replace(results, question=replace(question, settings=campaign)), found).calibrated


def test_too_few_complete_blocks(tmp_path: Path) -> None:
    """An A/A campaign whose runs failed says nothing, and that is an error and no calibration."""
    campaign = Campaign(fails=lambda run: Outcome.BOOT_FAILED if run.cell.arm is Arm.BASELINE else None)
    alike = compared(tmp_path / "alike", campaign)
    with pytest.raises(InputError, match="0 complete blocks; 6 are the fewest"):
        calibration_from_campaigns(Target("h", "tcg", "j", "p"), alike, (), blocks=6, measured_at="")


def test_no_real_experiment_of_that_size(tmp_path: Path) -> None:
    """Where the campaign is shorter than an experiment, none of that size was really run."""
    alike = compared(tmp_path / "alike", Campaign(blocks=6))
    found = calibration_from_campaigns(Target("h", "tcg", "j", "p"), alike, (), blocks=10, measured_at="")
    assert (found.campaigns, found.alarms, found.blocks) == (0, 0, 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "not a calibration of format 1"),
        ('{"format": 2}', "not a calibration of format 1"),
        (json.dumps({**EMPTY, "alpha": 7}), "alpha: "),
    ],
)
def test_a_damaged_file(text: str, said: str) -> None:
    """A file that is no calibration is an error that names it, and never a calibration."""
    path = path_of(Target("00", "tcg", "j", "p"))
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_calibration(path)
