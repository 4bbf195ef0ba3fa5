from dataclasses import replace

import pytest

from lab.analysis.compare import compare_results
from lab.analysis.verdict import Verdict
from lab.record import Arm, Outcome
from lab.report.sentences import explanation, point_sentence, tier_sentence, verdict_sentence
from tests.unit.analysis.campaign import BUILD, BUILDS, Campaign
from tests.unit.report.examples import results


def said(campaign: Campaign) -> str:
    """Return the sentences of a campaign."""
    comparison = compare_results(results(campaign))
    return "\n".join([verdict_sentence(comparison), *map(point_sentence, comparison.judged)])


def test_a_regression_is_said_with_its_size() -> None:
    """Verdict, how many points, and how large."""
    text = said(Campaign(effect=lambda point: 0.5, noise=0.001))
    assert text.startswith("REGRESSED: IOPS, candidate against baseline: regressed at 3 of 3 points (-50")
    assert "p 0.031; higher is better" in text


def test_no_change_is_said_with_what_it_rules_out() -> None:
    """That nothing changed would be no news without a number."""
    assert "is ruled out" in said(Campaign(noise=0.001))


def test_undecided_is_said_with_what_would_be_enough() -> None:
    """The reader learns how many runs to make."""
    text = said(Campaign(noise=0.05))
    assert "not decided" in text and "runs of each arm would be enough" in text


def test_missing_pairs_are_said() -> None:
    """No pair and one pair are not the same."""
    assert "not decided, no pair of runs" in said(Campaign(fails=lambda run: Outcome.VOID))
    assert "not decided, only one pair" in said(Campaign(blocks=1))


def test_not_comparable_points_to_the_warnings() -> None:
    """The reason stands once, among the warnings."""
    builds = BUILDS | {"candidate": BUILD | {"compiler": "other"}}
    comparison = compare_results(results(Campaign(), builds=builds))
    assert "not comparable, see the warnings" in point_sentence(comparison.judged[0])


def test_what_the_series_mends_is_said_behind_the_verdict() -> None:
    """So every report has it."""
    text = said(Campaign(fails=lambda run: Outcome.SCENARIO_FAILED if run.cell.arm is Arm.BASELINE else None))
    assert text.startswith("INCONCLUSIVE: ") and "The series mends this: the baseline's QEMU did not take" in text


def test_a_doubt_is_said_with_the_verdict() -> None:
    """Else nobody would know why unchanged points are no pass."""
    comparison = replace(compare_results(results(Campaign(noise=0.001))), doubts=("x",), verdict=Verdict.INCONCLUSIVE)
    sentence = verdict_sentence(comparison)
    assert sentence.startswith("INCONCLUSIVE: ") and "unchanged within the smallest effect at 3 of 3 points" in sentence
    assert sentence.endswith("; the candidate failed more often, which may be chance (see the warnings).")


def test_an_experiment_without_points_has_a_sentence() -> None:
    """Nothing measured is said as such."""
    comparison = replace(compare_results(results(Campaign())), points=())
    assert "nothing was measured" in verdict_sentence(comparison)


def test_the_columns_are_explained() -> None:
    """The level of the interval is the one that was asked for."""
    assert "its 95 % interval" in explanation(compare_results(results(Campaign())))


@pytest.mark.parametrize(
    ("tier", "says"), [("tcg", "never absolute IOPS"), ("kvm", "absolute values"), ("x", "do not say")]
)
def test_a_tier_says_what_it_supports(tier: str, says: str) -> None:
    """Which claims the numbers are good for, also where nobody knows how they were made."""
    assert says in tier_sentence(tier)


def test_the_gravest_is_said_first() -> None:
    """A regression at one point is not hidden behind many points that are undecided."""
    campaign = Campaign(factors={"iothreads": range(1, 6)}, effect=lambda point: 0.5 if point.id.endswith("3") else 1.0)
    text = verdict_sentence(compare_results(results(campaign)))
    assert text.index("regressed at 1 of 5") < text.index("at 4 of 5")


def test_a_finding_is_said_with_the_verdict() -> None:
    """A crash decides the exit code, so "no change" alone would be read as a pass."""
    quiet = compare_results(results(Campaign(noise=0.001)))
    one, two = (verdict_sentence(replace(quiet, findings=("QEMU crashed",) * count)) for count in (1, 2))
    assert one.endswith("; with 1 finding besides.") and two.endswith("; with 2 findings besides.")
    assert "besides" not in verdict_sentence(quiet)


def test_what_is_ruled_out_is_rounded_up() -> None:
    """What is said to be ruled out surely is, and a small effect has the decimals it needs."""
    point = compare_results(results(Campaign(noise=0.001))).judged[0]
    assert point.numbers is not None
    rules_out = {
        (0.02, 1.0094): "more than 1.0 % is",
        (0.02, 1.009): "more than 0.9 % is",
        (0.01, 1.00038): "more than 0.1 % is",
        (0.0001, 1.000038): "more than 0.004 % is",
        (0.02, 1.0): "more than 0.0 % is",
    }
    for (effect, high), said_of_it in rules_out.items():
        numbers = replace(point.numbers, ratio=1.0, low=1.0, high=high)
        assert said_of_it in point_sentence(replace(point, smallest_effect=effect, numbers=numbers))


def test_the_interval_does_not_claim_too_much() -> None:
    """A rare slow boot that no block caught is not ruled out by it."""
    assert "a rare slow boot" in explanation(compare_results(results(Campaign())))
