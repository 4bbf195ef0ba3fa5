from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.compare import Comparison, compare_results
from lab.errors import InputError
from lab.report import patch_steps
from lab.report.charts import Step
from lab.report.patch_steps import draw_waterfall
from tests.unit.analysis.campaign import BUILD, BUILDS, Campaign
from tests.unit.report.examples import results


def step(subject: str, effect: float, *, blocks: int = 6, sha256: str = "a" * 64) -> Comparison:
    """Return an experiment of a series up to a patch."""
    series = {"title": "t", "patches": [{"subject": "first"}, {"subject": subject}]}
    builds = BUILDS | {"baseline": BUILD | {"binary_sha256": sha256}, "series": series}
    campaign = Campaign(factors={"iothreads": (1,)}, blocks=blocks, effect=lambda point: effect)
    return compare_results(results(campaign, builds=builds))


def test_steps_are_named_after_their_last_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratio and interval are those of the series up to there."""
    drawn: list[Step] = []
    monkeypatch.setattr(patch_steps, "waterfall_chart", lambda path, steps, better, caption: drawn.extend(steps))
    comparisons = [step("lock", 0.9), step("unlock", 1.2)]
    draw_waterfall(Path("x.png"), comparisons, point=None, metric=None)
    assert [one.label for one in drawn] == ["lock", "unlock"]
    numbers = comparisons[1].judged[0].numbers
    assert numbers is not None and (drawn[1].ratio, drawn[1].low, drawn[1].high) == (
        numbers.ratio,
        numbers.low,
        numbers.high,
    )


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """A metric that is only shown can be chosen, too."""
    path = tmp_path / "x.png"
    draw_waterfall(path, [step("lock", 0.9)], point="iothreads=1", metric="clat_p99_ns")
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("comparisons", "point", "why"),
    [
        ([], None, "0 experiments"),
        ([step("a", 1), step("b", 1, sha256="c" * 64)], None, "do not have one baseline"),
        ([step("a", 1, blocks=1)], None, "too few pairs"),
        ([step("a", 1)], "iothreads=7", "0 points to draw"),
        ([compare_results(results(Campaign()))], None, "3 points to draw"),
        ([replace(step("a", 1), points=())], None, "0 points to draw"),
    ],
)
def test_what_cannot_be_drawn_is_refused(comparisons: list[Comparison], point: str | None, why: str) -> None:
    """Steps against different bases, without an interval, or of more than one point."""
    with pytest.raises(InputError, match=why):
        draw_waterfall(Path("x.png"), comparisons, point=point, metric=None)
