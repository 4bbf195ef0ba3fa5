from pathlib import Path

import pytest

from lab.analysis.question import Question, Reference
from lab.errors import InputError
from lab.report.reference import published_tables, reference_dir, reference_table

GOOD = """
title = "t"
author = "a"
source = "s"
[[tables]]
name = "n"
metric = "iops"
factor = "iothreads"
rows = [{ level = 1, value = 100 }, { level = 2, value = 150.0 }]
"""


def test_a_table_is_read(tmp_path: Path) -> None:
    """Rows keep their order and their levels their types."""
    file = tmp_path / "x.toml"
    file.write_text(GOOD)
    (table,) = published_tables(file)
    assert table.rows == ((1, 100.0), (2, 150.0))


def test_the_table_of_the_main_job() -> None:
    """1.00, 1.65, 1.83 for 1, 2, 4 IOThreads, as published."""
    (table,) = published_tables(reference_dir() / "virtio-scsi-multiqueue-2025.toml")
    first = table.rows[0][1]
    assert [(level, round(value / first, 2)) for level, value in table.rows] == [(1, 1.0), (2, 1.65), (4, 1.83)]


@pytest.mark.parametrize("file", sorted(reference_dir().glob("*.toml")), ids=lambda file: file.stem)
def test_every_stored_publication_is_readable_and_has_a_source(file: Path) -> None:
    """Each has a source, a caution and at least one table."""
    tables = published_tables(file)
    assert tables and all(table.source and table.caution for table in tables)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "Invalid value"),
        (GOOD.replace('source = "s"', 'source = ""'), "source"),
        (GOOD.replace("100", "0"), "value"),
        (GOOD.replace("100", "inf"), "value"),
        (GOOD.replace('"iops"', '"speed"'), "no metric 'speed'"),
        (GOOD[: GOOD.index("[[tables]]")], "tables"),
    ],
)
def test_damaged_publications_are_refused(tmp_path: Path, text: str, words: str) -> None:
    """The message names what is wrong."""
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        published_tables(file)


def test_a_publication_that_is_not_there(tmp_path: Path) -> None:
    """The remedy lists those there are."""
    (tmp_path / "other.toml").write_text(GOOD)
    with pytest.raises(InputError, match="cannot be read") as caught:
        published_tables(tmp_path / "none.toml")
    assert "other" in caught.value.remedy


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_a_publication_that_overwhelms_the_parser_is_refused(tmp_path: Path, text: str) -> None:
    """Too deep or too long is damage like any other."""
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"x\.toml"):
        published_tables(file)


def test_the_table_that_a_job_asks_for() -> None:
    """It is found by name and factor; without a wish there is neither a table nor a reason."""
    found, lack = reference_table(question("virtio-scsi-multiqueue-2025", "iothreads"))
    assert found is not None and lack == ""
    assert reference_table(Question("x")) == (None, "")


@pytest.mark.parametrize(
    ("table", "factor", "words"),
    [
        ("no-such-table", "iothreads", "no-such-table.toml cannot be read"),
        ("virtio-scsi-multiqueue-2025", "iodepth", "has none over 'iodepth'"),
        ("virtio-scsi-multiqueue-2025", "rw", "'rw' is no factor"),
    ],
)
def test_a_table_that_cannot_be_drawn_has_a_reason(table: str, factor: str, words: str) -> None:
    """A missing table, and one over another factor, cost nobody the report."""
    found, lack = reference_table(question(table, factor))
    assert found is None and words in lack


def question(table: str, factor: str) -> Question:
    """Return a question that asks for a published table."""
    return Question("x", factors={"iothreads": (1, 2), "iodepth": (1,)}, reference=Reference(table, factor))
