import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab.analysis.compare import Comparison, compare_results, points_in_order
from lab.analysis.question import question_from_toml
from lab.analysis.results import Results
from lab.analysis.verdict import Verdict
from lab.errors import ExitCode
from lab.record import Arm, Outcome, Point, RunRecord, ScheduledRun
from tests.unit.analysis.campaign import BUILD, BUILDS, HOST, Campaign

QUESTION = question_from_toml({"title": "x", "factors": {"iothreads": [4, 2, 1]}}, "job")


def results(campaign: Campaign, records: tuple[RunRecord, ...] | None = None) -> Results:
    """Return the results of a campaign without going through files."""
    made = campaign.records() if records is None else records
    return Results(Path("experiment"), QUESTION, campaign.schedule(), made, HOST, BUILDS)


def texts(comparison: Comparison) -> str:
    """Return all caveats, of the experiment and of its points that decide."""
    caveats = [*comparison.caveats, *(caveat for point in comparison.judged for caveat in point.caveats)]
    return "\n".join(f"{caveat.kind}: {caveat.text}" for caveat in caveats)


def test_a_clear_loss_is_a_regression() -> None:
    """A loss of 30 % at every point regresses at every point, and the exit code says so."""
    comparison = compare_results(results(Campaign(effect=lambda point: 0.7)))
    assert [point.verdict for point in comparison.judged] == [Verdict.REGRESSED] * 3
    assert comparison.verdict is Verdict.REGRESSED and comparison.exit_code is ExitCode.FINDING
    point = comparison.judged[0]
    assert point.numbers is not None and point.numbers.ratio == pytest.approx(0.7, rel=0.05)
    assert point.numbers.low < 0.7 < point.numbers.high and point.numbers.p_adjusted == pytest.approx(2 / 64)
    assert point.n == 6 and point.runs_needed is None and point.ruled_out is None


def test_a_latency_that_falls_improves() -> None:
    """Latencies are shown with their own direction, and do not decide here."""
    comparison = compare_results(results(Campaign(effect=lambda point: 1.5)))
    latency = [point for point in comparison.points if point.metric.name == "clat_p50_ns"]
    assert {point.verdict for point in latency} == {Verdict.IMPROVED} and not any(point.judged for point in latency)
    assert all(point.numbers is not None and point.numbers.ratio < 1 for point in latency)


def test_no_change_says_what_it_rules_out() -> None:
    """With 0.2 % of noise six blocks rule out 2 %, and more."""
    comparison = compare_results(results(Campaign(noise=0.002)))
    assert comparison.verdict is Verdict.NO_CHANGE_DETECTED and comparison.exit_code is ExitCode.DONE
    for point in comparison.judged:
        assert point.ruled_out is not None and 0 < point.ruled_out < 0.02


def test_a_tiny_but_certain_difference_is_no_change_with_a_caveat() -> None:
    """+1 % beyond doubt is smaller than what matters; the reader is told."""
    comparison = compare_results(results(Campaign(noise=0.0005, effect=lambda point: 1.01)))
    assert comparison.verdict is Verdict.NO_CHANGE_DETECTED and "tiny-difference" in texts(comparison)


def test_undecided_says_how_many_runs_would_do() -> None:
    """3 % of noise and 2 % of resolution need some forty blocks."""
    comparison = compare_results(results(Campaign(noise=0.03)))
    assert comparison.verdict is Verdict.INCONCLUSIVE and comparison.exit_code is ExitCode.UNDECIDED
    for point in comparison.judged:
        assert point.runs_needed is not None and point.runs_needed > 6


def test_five_blocks_never_decide() -> None:
    """However large the effect, five pairs cannot reach 5 %, and six are named."""
    comparison = compare_results(results(Campaign(blocks=5, effect=lambda point: 0.1)))
    assert comparison.verdict is Verdict.INCONCLUSIVE and "5 pairs; a verdict at alpha 0.05 needs at least 6" in texts(
        comparison
    )
    assert comparison.judged[0].runs_needed is not None and comparison.judged[0].runs_needed >= 6


def test_missing_runs_are_neither_a_pass_nor_a_regression() -> None:
    """A point whose candidate never ran is undecided, counted, and keeps the whole from passing."""

    def fails(run: object) -> Outcome | None:
        cell = run.cell  # type: ignore[attr-defined]
        return Outcome.QEMU_CRASHED if cell.id == "candidate.iothreads=2" else None

    comparison = compare_results(results(Campaign(noise=0.002, fails=fails)))
    by_point = {point.point.id: point for point in comparison.judged}
    lost = by_point["iothreads=2"]
    assert lost.verdict is Verdict.INCONCLUSIVE and lost.n == 0 and lost.numbers is None and lost.p is None
    assert lost.baseline is None and lost.runs_needed is None
    assert by_point["iothreads=1"].verdict is Verdict.NO_CHANGE_DETECTED
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert "6 of 18 attempts of candidate failed (qemu-crashed 6)" in texts(comparison)
    assert "6 without candidate" in texts(comparison)


@pytest.mark.parametrize("effect", [1.0, 1.5])
def test_runs_that_only_the_candidate_lacks_keep_the_others_from_passing(effect: float) -> None:
    """A candidate that hangs in two blocks of eight and looks unchanged, or better, in the others does not pass."""

    def hangs(run: object) -> Outcome | None:
        lost = run.cell.id == "candidate.iothreads=2" and run.block in (3, 5)  # type: ignore[attr-defined]
        return Outcome.GUEST_HUNG if lost else None

    made = results(Campaign(blocks=8, noise=0.002, effect=lambda point: effect, fails=hangs))
    comparison = compare_results(made)
    assert comparison.verdict is Verdict.INCONCLUSIVE and comparison.exit_code is ExitCode.UNDECIDED
    assert "no pass: 2 of 8 blocks lack a usable value that the candidate owes" in texts(comparison)
    passed = [point.point.id for point in comparison.judged if point.verdict is not Verdict.INCONCLUSIVE]
    assert passed == ["iothreads=4", "iothreads=1"]


def test_runs_of_the_candidate_that_nobody_planned_are_owed_in_one_session() -> None:
    """Only beside a stored baseline, which may have more blocks, is the candidate not asked for all of them."""
    made = results(Campaign(blocks=8, noise=0.002))
    schedule = tuple(run for run in made.schedule if run.cell.arm is Arm.BASELINE or run.block not in (3, 5))
    records = tuple(record for record in made.records if record.scheduled in schedule)
    comparison = compare_results(replace(made, schedule=schedule, records=records))
    assert comparison.verdict is Verdict.INCONCLUSIVE and "no pass: 2 of 8 blocks lack" in texts(comparison)
    assert compare_results(made).verdict is Verdict.NO_CHANGE_DETECTED


def test_runs_that_the_baseline_lacks_do_not_keep_the_others_from_passing() -> None:
    """A missing run of the baseline hides nothing of the candidate."""

    def hangs(run: object) -> Outcome | None:
        return Outcome.GUEST_HUNG if run.cell.arm is Arm.BASELINE and run.block == 3 else None  # type: ignore[attr-defined]

    comparison = compare_results(results(Campaign(blocks=8, noise=0.002, fails=hangs)))
    assert comparison.verdict is Verdict.NO_CHANGE_DETECTED and "8 blocks, 1 without baseline" in texts(comparison)


def flat(effect: float, _point: Point) -> float:
    """Return the same effect at every point."""
    return effect


def failing(where: Callable[[ScheduledRun], bool]) -> Callable[[ScheduledRun], Outcome | None]:
    """Return what makes some runs fail their scenario."""
    return lambda run: Outcome.SCENARIO_FAILED if where(run) else None


def test_a_series_that_mends_a_scenario_leaves_nothing_undecided_there() -> None:
    """The baseline never gets through, so there is nothing to be slower than; what has numbers is judged by them."""
    everywhere = Campaign(fails=failing(lambda run: run.cell.arm is Arm.BASELINE))
    comparison = compare_results(results(everywhere))
    assert comparison.verdict is Verdict.INCONCLUSIVE and comparison.exit_code is ExitCode.DONE
    assert len(comparison.mends) == 1 and "18 of 18 runs" in comparison.mends[0]

    def at_two(run: ScheduledRun) -> bool:
        return run.cell.id == "baseline.iothreads=2"

    for noise, effect, code in (
        (0.002, 1.0, ExitCode.DONE),
        (0.1, 1.0, ExitCode.UNDECIDED),
        (0.002, 0.7, ExitCode.FINDING),
    ):
        campaign = Campaign(noise=noise, effect=partial(flat, effect), fails=failing(at_two))
        comparison = compare_results(results(campaign))
        assert comparison.mends and comparison.exit_code is code


@pytest.mark.parametrize(
    ("cell", "changed"),
    [
        ("candidate.iothreads=1", {"metrics": {"iops": 0.0}}),
        ("candidate.iothreads=1", {"metrics": {"clat_p50_ns": 1.0}}),
        ("candidate.iothreads=2", {"metrics": {"iops": 0.0}}),
        ("candidate.iothreads=2", {"metrics": {"clat_p50_ns": 1.0}}),
        ("baseline.iothreads=2", {"metrics": {}, "outcome": Outcome.INFRASTRUCTURE}),
        ("baseline.iothreads=2", {"metrics": {}, "outcome": Outcome.GUEST_HUNG}),
    ],
    ids=["stalled-there", "missing-there", "stalled", "metric-missing", "host", "hung"],
)
def test_what_is_mended_at_one_point_passes_no_other(cell: str, changed: dict[str, Any]) -> None:
    """A point whose pairs are missing for another reason stays undecided; so does a mended one that stands still."""
    campaign = Campaign(noise=0.002, fails=failing(lambda run: run.cell.id == "baseline.iothreads=1"))
    assert compare_results(results(campaign)).exit_code is ExitCode.DONE
    records = tuple(
        replace(record, **changed) if record.scheduled.cell.id == cell else record for record in campaign.records()
    )
    comparison = compare_results(results(campaign, records))
    assert comparison.mends and comparison.exit_code is ExitCode.UNDECIDED


def test_a_candidate_that_did_not_get_through_everywhere_has_not_passed() -> None:
    """One of its runs hung, or the experiment has not ended."""

    def fails(run: ScheduledRun) -> Outcome | None:
        if run.cell.arm is Arm.BASELINE:
            return Outcome.SCENARIO_FAILED
        return Outcome.GUEST_HUNG if run.block == 1 else None

    campaign = Campaign(fails=fails)
    comparison = compare_results(results(campaign))
    assert comparison.mends and comparison.exit_code is ExitCode.UNDECIDED
    whole = Campaign(fails=failing(lambda run: run.cell.arm is Arm.BASELINE))
    unfinished = tuple(record for record in whole.records() if record.scheduled.block < 6)
    assert compare_results(results(whole, unfinished)).exit_code is ExitCode.UNDECIDED


def test_values_of_zero_are_no_pass() -> None:
    """A candidate that stalls in two blocks has no ratio there, and the other six are no pass."""
    records = tuple(
        replace(record, metrics={**record.metrics, "iops": 0.0})
        if record.scheduled.cell.arm is Arm.CANDIDATE and record.scheduled.block in (3, 5)
        else record
        for record in Campaign(blocks=8, noise=0.002).records()
    )
    comparison = compare_results(results(Campaign(blocks=8), records))
    assert comparison.verdict is Verdict.INCONCLUSIVE and "candidate has values of zero" in texts(comparison)


def test_an_unfinished_experiment_gives_no_verdict() -> None:
    """A look on the way is not a verdict, however clear it looks; the blocks that were planned are named."""
    campaign = Campaign(blocks=8, effect=lambda point: 0.5)
    comparison = compare_results(results(campaign, campaign.records()[:-3]))
    assert comparison.verdict is Verdict.INCONCLUSIVE and comparison.judged[0].runs_needed == 8
    assert "3 of 48 scheduled runs were not made yet" in texts(comparison)


def test_an_experiment_before_its_first_run() -> None:
    """All points are there, undecided."""
    comparison = compare_results(results(Campaign(), ()))
    assert len(comparison.judged) == 3 and comparison.verdict is Verdict.INCONCLUSIVE


def test_unlike_builds_are_not_compared() -> None:
    """Different configure options void every verdict."""
    unlike = BUILDS | {"candidate": BUILD | {"configure_options": ["--enable-debug"]}}
    comparison = compare_results(replace(results(Campaign(effect=lambda point: 0.5)), builds=unlike))
    assert {point.verdict for point in comparison.points} == {Verdict.NOT_COMPARABLE}
    assert comparison.exit_code is ExitCode.UNDECIDED and "configure_options" in texts(comparison)


def test_arms_of_different_accelerators_are_not_compared() -> None:
    """KVM against TCG is no comparison."""
    records = tuple(
        replace(record, accelerator="kvm") if record.scheduled.cell.arm is Arm.CANDIDATE else record
        for record in Campaign().records()
    )
    comparison = compare_results(results(Campaign(), records))
    assert comparison.verdict is Verdict.NOT_COMPARABLE and "different accelerators: tcg and kvm" in texts(comparison)


def test_a_block_split_over_hosts_is_not_compared() -> None:
    """Both runs of a pair must come from one host."""
    first, *rest = Campaign().records()
    comparison = compare_results(results(Campaign(), (replace(first, host="elsewhere"), *rest)))
    split = [point for point in comparison.judged if point.verdict is Verdict.NOT_COMPARABLE]
    assert len(split) == 1 and "different hosts" in texts(comparison)


def test_blocks_on_several_hosts_are_compared_and_listed() -> None:
    """Whole blocks may run anywhere; what each host says is shown."""
    records = tuple(
        replace(record, host="second") if record.scheduled.block > 3 else record
        for record in Campaign(effect=lambda point: 0.5).records()
    )
    comparison = compare_results(results(Campaign(), records))
    assert comparison.verdict is Verdict.REGRESSED and "blocks of 2 hosts" in texts(comparison)


def test_a_family_of_many_points_is_adjusted() -> None:
    """Where only one of many points moves, its own p is not enough, and the reader is told why."""
    campaign = Campaign(
        factors={"iothreads": tuple(range(1, 31))},
        noise=0.03,
        effect=lambda point: 0.9 if point.id == "iothreads=7" else 1.0,
    )
    comparison = compare_results(results(campaign))
    moved = next(point for point in comparison.judged if point.point.id == "iothreads=7")
    assert moved.p == pytest.approx(2 / 64) and moved.numbers is not None and moved.numbers.p_adjusted > 0.05
    assert moved.verdict is Verdict.INCONCLUSIVE and "not among 30 tests" in texts(comparison)


def test_points_come_in_the_order_of_the_job_file() -> None:
    """The job file lists 4, 2, 1; levels it does not list come after, numbers by size."""
    campaign = Campaign(factors={"iothreads": (1, 8, 2, 16, 4)}, blocks=1)
    ids = [point.id for point in points_in_order(results(campaign))]
    assert ids == [f"iothreads={level}" for level in (4, 2, 1, 8, 16)]


def test_a_point_without_factors_is_called_all() -> None:
    """An experiment may vary nothing but the arm."""
    campaign = Campaign(factors={}, level=lambda point: 100.0, effect=lambda point: 0.5)
    comparison = compare_results(results(campaign))
    assert comparison.judged[0].point == Point(()) and comparison.verdict is Verdict.REGRESSED


def test_the_known_verdict_of_a_demonstration_is_checked() -> None:
    """A demonstration series that does not get its verdict is a warning about this host."""
    question = replace(QUESTION, known_verdict="REGRESSED")
    comparison = compare_results(replace(results(Campaign(noise=0.002)), question=question))
    assert "known to be REGRESSED, this experiment says NO_CHANGE_DETECTED" in texts(comparison)


def test_medians_and_ratio_are_of_the_pairs() -> None:
    """A run without its partner moves neither the medians nor the ratio."""
    campaign = Campaign(blocks=7, noise=0.01)
    records = campaign.records()
    odd = next(record for record in records if record.scheduled.block == 7)
    spoiled = tuple(
        replace(record, outcome=Outcome.BOOT_FAILED, metrics={})
        if record is odd
        else replace(record, metrics={"iops": 1.0})
        if record.scheduled.block == 7 and record.scheduled.cell.point == odd.scheduled.cell.point
        else record
        for record in records
    )
    point = next(p for p in compare_results(results(campaign, spoiled)).judged if p.point == odd.scheduled.cell.point)
    assert point.n == 6 and point.baseline is not None and point.baseline > 1000
    assert point.numbers is not None and abs(math.log(point.numbers.ratio)) < 0.05


@pytest.mark.parametrize(
    ("effect", "verdict"), [(1.0, Verdict.INCONCLUSIVE), (1.3, Verdict.INCONCLUSIVE), (0.7, Verdict.REGRESSED)]
)
def test_a_candidate_that_hung_once_does_not_pass(effect: float, verdict: Verdict) -> None:
    """It worked when tried again, so every number is there, and its points say what they say; a regression stands."""
    made = Campaign(noise=0.002, effect=lambda _point: effect).records()
    hung = next(record for record in made if record.scheduled.cell.arm is Arm.CANDIDATE)
    first = replace(hung, outcome=Outcome.GUEST_HUNG, metrics={}, traces={}, reason="no answer")
    again = [replace(record, attempt=2) if record is hung else record for record in made]
    comparison = compare_results(results(Campaign(), (first, *again)))
    assert comparison.verdict is verdict and comparison.exit_code is verdict.exit_code
    assert len(comparison.doubts) == 1 and comparison.findings == ()
    assert "no pass: the candidate's guest failed in 1 of 19 attempts" in texts(comparison)
