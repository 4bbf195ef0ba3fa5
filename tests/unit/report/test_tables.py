from dataclasses import replace

from lab.analysis.compare import compare_results
from lab.analysis.family import PointComparison
from lab.record import Outcome
from lab.report.tables import (
    FULL_HEADER,
    change_text,
    decimals_of,
    full_row,
    interval_text,
    markdown_table,
    short_row,
    text_table,
)
from tests.unit.analysis.campaign import EXPERIMENT, Campaign
from tests.unit.report.examples import results


def point(campaign: Campaign) -> PointComparison:
    """Return the first judged point of a campaign."""
    return compare_results(results(campaign)).judged[0]


def test_a_row_has_a_cell_for_each_column() -> None:
    """Values have units, the change a sign, the verdict its name."""
    row = full_row(point(Campaign(effect=lambda point: 0.5, noise=0.001)))
    assert len(row) == len(FULL_HEADER)
    assert row[:3] == ("iothreads=1", "IOPS", "6") and row[5].startswith("-50") and row[-1] == "REGRESSED"


def test_a_point_without_pairs_has_dashes() -> None:
    """What is not known is not shown as zero."""
    row = full_row(point(Campaign(fails=lambda run: Outcome.VOID)))
    assert row[2:8] == ("0", "-", "-", "-", "-", "-") and row[8] == "INCONCLUSIVE"


def test_an_interval_that_covers_less_says_so() -> None:
    """Four pairs cover 88 %, six need no remark."""
    assert interval_text(point(Campaign(blocks=4))).endswith("(88 %)")
    assert interval_text(point(Campaign(blocks=6))).endswith("%") and "(" not in interval_text(point(Campaign()))


def test_short_rows_use_short_verdicts() -> None:
    """A narrow page has room for words, not for constants."""
    assert short_row(point(Campaign(noise=0.001)))[-1] == "no change"


def test_columns_are_aligned() -> None:
    """Numbers stand to the right, words to the left, and no line ends in a space."""
    table = text_table(("name", "n"), [("a", "1"), ("long", "100")])
    assert table.splitlines() == ["name    n", "----  ---", "a       1", "long  100"]


def test_bars_cannot_make_columns_in_markdown() -> None:
    """A bar in a cell is escaped."""
    assert markdown_table(("x",), [("a|b",)]).splitlines() == ["| x |", "| --- |", "| a\\|b |"]


def test_the_mark_goes_by_the_level_that_was_asked_for() -> None:
    """Seven pairs cover 98.4 %: less than 99 %, more than 95 % and than 70 %."""
    stricter, laxer = (EXPERIMENT.replace("alpha = 0.05", f"alpha = {alpha}") for alpha in (0.01, 0.3))
    strict = compare_results(results(Campaign(blocks=7), experiment=stricter)).judged[0]
    assert interval_text(strict).endswith("% (98 %)") and "(" not in interval_text(point(Campaign(blocks=7)))
    assert "(" not in interval_text(compare_results(results(Campaign(blocks=4), experiment=laxer)).judged[0])


def test_small_changes_that_matter_have_decimals() -> None:
    """Where 0.01 % matters, +0.038 % is not +0.0 %; and no end is minus nothing."""
    found = point(Campaign(noise=0.001))
    assert found.numbers is not None
    tiny = replace(found, numbers=replace(found.numbers, ratio=1.00038, low=0.99999, high=1.00039))
    assert (change_text(tiny), interval_text(tiny)) == ("+0.0 %", "[+0.0, +0.0] %")
    small = replace(tiny, smallest_effect=0.0001)
    assert (change_text(small), interval_text(small)) == ("+0.038 %", "[-0.001, +0.039] %")
    assert [decimals_of(replace(tiny, smallest_effect=effect)) for effect in (0.5, 0.01, 0.005, 0.001)] == [1, 1, 2, 2]
