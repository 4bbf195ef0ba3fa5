"""Foreign names stay on one line."""

from lab.analysis.caveats import Caveat, CaveatKind
from lab.analysis.names import all_on_one_line, on_one_line


def test_line_breaks_are_shown() -> None:
    """Every kind of line break, and the tab, becomes an escape; other text stays as it is."""
    assert on_one_line("a\nb\r\tc\u2028d \u00e9") == "a\\nb\\r\\tc\\u2028d \u00e9"


def test_all_texts_of_a_document() -> None:
    """Keys and values at any depth are treated, numbers are left alone."""
    assert all_on_one_line({"a\nb": ["c\nd", 1, None, {"e": "f\n"}]}) == {"a\\nb": ["c\\nd", 1, None, {"e": "f\\n"}]}


def test_a_caveat_is_one_line() -> None:
    """A name in a warning cannot begin a line of its own, such as a forged verdict."""
    assert Caveat(CaveatKind.HOSTS, "on x\nREGRESSED: all").text == "on x\\nREGRESSED: all"
