from dataclasses import replace

import pytest

from lab.analysis.compare import Comparison, compare_results
from lab.analysis.verdict import Numbers
from lab.report.page_rows import rows_of_page
from tests.unit.analysis.campaign import Campaign
from tests.unit.report.examples import results


def with_numbers(ratio: float, low: float, high: float) -> Comparison:
    """Return a comparison whose first point has these numbers, and no other point."""
    comparison = compare_results(results(Campaign()))
    numbers = Numbers(ratio, low, high, 0.97, 0.03)
    return replace(comparison, points=(replace(comparison.judged[0], numbers=numbers),))


def test_rows_have_words_and_numbers_to_sort_by() -> None:
    """What decides comes first; a number that is not known sorts last."""
    rows = rows_of_page(compare_results(results(Campaign(effect=lambda point: 0.5))))
    assert [row.judged for row in rows] == [True] * 3 + [False] * 9
    assert rows[0].change.startswith("-") and rows[0].sort["change"] == pytest.approx(0.5, rel=0.05)
    alone = rows_of_page(compare_results(results(Campaign(blocks=1))))
    assert alone[0].sort["change"] is None and alone[0].drawing is None and alone[0].p == "-"


def test_less_is_left_and_more_is_right() -> None:
    """The interval stands around its centre, on a scale on which half and double are equally far from the middle."""
    less = rows_of_page(with_numbers(0.5, 0.4, 0.6))[0].drawing
    more = rows_of_page(with_numbers(2.0, 1 / 0.6, 2.5))[0].drawing
    assert less is not None and more is not None
    assert less.bar[0] < less.centre < less.bar[1] < less.zero < more.bar[0] < more.centre < more.bar[1]
    assert less.zero - less.centre == pytest.approx(more.centre - more.zero, abs=0.2)
    assert less.band[0] < less.zero < less.band[0] + less.band[1]


@pytest.mark.parametrize("ends", [(0.0, 1e300), (1e-300, float("inf"))])
def test_what_is_off_the_scale_ends_at_its_edge(ends: tuple[float, float]) -> None:
    """No mark leaves the strip."""
    drawing = rows_of_page(with_numbers(1e100, *ends))[0].drawing
    assert drawing is not None
    assert all(0 <= place <= drawing.width for place in (*drawing.bar, drawing.centre, drawing.band[0]))
