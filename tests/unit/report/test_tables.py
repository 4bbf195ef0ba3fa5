from lab.analysis.compare import compare_results
from lab.analysis.family import PointComparison
from lab.record import Outcome
from lab.report.tables import FULL_HEADER, full_row, interval_text, markdown_table, short_row, text_table
from tests.unit.analysis.campaign import Campaign
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
