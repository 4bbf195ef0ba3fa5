import re
import shlex
from dataclasses import replace
from pathlib import Path

from lab.analysis.compare import compare_results
from lab.progress import columns_of
from lab.report.text import COLUMNS, all_warnings, mail_text, narrow_table, terminal_text
from tests.unit.analysis.campaign import Campaign
from tests.unit.report.examples import HOSTILE, results

WIDE = Campaign(
    factors={"a_rather_long_factor_name": (1, 2), "rw": ("randread",), "yet_another_factor": ("some long level",)},
    level=lambda point: 123456.0,
)


def test_a_mail_has_at_most_72_columns() -> None:
    """Whatever the points are called, the table fits; the command to reproduce is pasteable."""
    for campaign in (Campaign(), Campaign(effect=lambda point: 0.5), WIDE):
        text = mail_text(compare_results(results(campaign)))
        assert max(map(len, text.splitlines())) <= COLUMNS
        assert "    lab run jobs/virtio-scsi-iothreads.toml '--series=my series.mbox' \\\n    --profile=quick" in text


def test_long_names_and_huge_numbers_stay_readable_in_72_columns() -> None:
    """A name without spaces is never cut to dots, and numbers that leave no room for a table become a list."""
    names = Campaign(factors={"a" * 50: ("b" * 60, "c" * 60)}, level=lambda point: 123456.0)
    text = mail_text(compare_results(results(names)))
    assert max(map(len, text.splitlines())) <= COLUMNS and "..." not in text
    joined = "".join(text.split())
    assert all(f"{'a' * 50}={level * 60}" in joined for level in "bc")
    huge = Campaign(noise=8.0, level=lambda point: 1e14)
    text = mail_text(compare_results(results(huge)))
    assert max(map(len, text.splitlines())) <= COLUMNS


def test_a_point_that_is_called_like_a_trailer_is_none() -> None:
    """Levels come from files of strangers; git must not take a row of the table for a tag, nor must a reader."""
    for level in ("x", "y" * 80):
        named = Campaign(factors={"Tested-by: A Person <a@example.org>": (level,)}, level=lambda point: 1000.0)
        text = mail_text(compare_results(results(named)))
        assert not re.search(r"^[\w-]+-by:", text, re.MULTILINE) and " Tested-by:" in text


def test_a_long_command_is_broken_between_words() -> None:
    """A backslash joins its lines again."""
    words = ["lab", *(f"--option-number-{n}" for n in range(8)), "two words"]
    lines = reproduce(shlex.join(words))
    assert all(line.endswith(" \\") for line in lines[:-1]) and len(lines) > 1
    assert shlex.split(" ".join(line.removesuffix(" \\") for line in lines)) == words


def test_a_command_that_no_shell_reads_is_shown_all_the_same() -> None:
    """An open quote in a stored command is not an error of the report."""
    assert reproduce("lab host 'half") == ["    lab host ''\"'\"'half'"]


def reproduce(command: str) -> list[str]:
    """Return the lines of the command in a mail."""
    made = results(Campaign())
    text = mail_text(compare_results(replace(made, question=replace(made.question, command=command))))
    lines = text[text.index("To reproduce") :].splitlines()[2:]
    return lines[: lines.index("")]


def test_no_trailer_on_behalf_of_a_person() -> None:
    """A Tested-by is for a person to give."""
    text = mail_text(compare_results(results(Campaign())))
    assert "-by:" not in text


def test_a_foreign_title_is_no_trailer_either() -> None:
    """Git would take a line such as this for a tag that somebody gave."""
    made = results(Campaign())
    title = "Tested-by: A Person <a@example.org> " + "and a title that goes on and on " * 3 + "Reviewed-by: B"
    text = mail_text(compare_results(replace(made, question=replace(made.question, title=title))))
    assert not re.search(r"^[\w-]+-by:", text, re.MULTILINE) and " Tested-by:" in text
    assert max(map(len, text.splitlines())) <= COLUMNS


def test_a_mail_says_what_was_chosen() -> None:
    """Job, profile, seed, base and series, beside the command."""
    text = mail_text(compare_results(results(Campaign())))
    for line in (
        "- job file: jobs/virtio-scsi-iothreads.toml, as copied to",
        "- profile: quick",
        "- seed: 7",
        "- base commit: 0123456789abcdef0123456789abcdef01234567",
        "- series: demo: busy loop in the request path",
        "- typed: lab bench --series 'my series.mbox'",
    ):
        assert f"\n{line}" in text


def test_wide_and_combining_characters_keep_their_columns() -> None:
    """A Chinese character takes two columns, an accent none: no line is wider than 72, and the rule fits the rows."""
    named = Campaign(factors={"\u78c1\u76d8": ("\u732b" * 4, "e\u0301" * 8)}, level=lambda point: 1000.0)
    text = mail_text(compare_results(results(named)))
    assert max(map(columns_of, text.splitlines())) <= COLUMNS
    rows = text[text.index("point  ") :].splitlines()[:4]
    ends = {columns_of(row[: row.index("  6  ")]) for row in rows[2:]}
    assert ends == {len(rows[1].split("  ")[0])}
    many = replace(results(named), question=replace(results(named).question, title="\u732b" * 200))
    assert max(map(columns_of, mail_text(compare_results(many)).splitlines())) <= COLUMNS


def test_a_point_that_is_too_long_stands_on_its_own_line() -> None:
    """The table stays aligned, names stand above their numbers."""
    lines = narrow_table(compare_results(results(WIDE)).judged).splitlines()
    assert lines[0].startswith("n") and lines[2].startswith("a_rather_long_factor_name=1")


def test_the_terminal_gets_table_verdicts_warnings_and_pictures() -> None:
    """Everything that the reader needs next is named."""
    comparison = compare_results(results(Campaign()))
    text = terminal_text(comparison, (Path("report/iops.png"),), Path("report/report.md"))
    assert "p adj." in text and "warnings:" in text and "report/iops.png" in text and "report/report.md" in text
    assert text.splitlines()[-1].startswith("INCONCLUSIVE")
    assert "pictures" not in terminal_text(comparison, (), Path("x"))


def test_the_same_warning_is_said_once() -> None:
    """A caveat that holds at several points names them instead of repeating itself."""
    warnings = all_warnings(compare_results(results(Campaign(blocks=3))))
    assert sum("3 pairs" in text for text in warnings) == 1
    assert any("[iothreads=1, iothreads=2, iothreads=4]" in text for text in warnings)


def test_foreign_text_cannot_drive_a_terminal() -> None:
    """Control characters and direction overrides are shown as escapes."""
    made = results(Campaign())
    comparison = compare_results(replace(made, question=replace(made.question, title=HOSTILE)))
    for text in (mail_text(comparison), terminal_text(comparison, (), Path("x"))):
        assert "\x1b" not in text and "\u202e" not in text and "\\x1b" in text
