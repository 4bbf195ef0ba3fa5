from __future__ import annotations

from lab.series.diagnosis import Diagnosis, diagnose_hunk, find
from lab.series.diff import Hunk

FILE = [f"line {number}" for number in range(1, 21)]


def hunk(*lines: str, start: int = 5) -> Hunk:
    """Return a hunk meant for a line."""
    return Hunk(line=7, old_start=start, new_start=start, lines=lines)


CHANGE = hunk(" line 5", " line 6", "-line 7", "+seven", " line 8", " line 9")


def test_a_hunk_that_fits_has_no_diagnosis() -> None:
    """Where it is meant for, or at an offset, which git finds by itself."""
    assert diagnose_hunk(CHANGE, FILE) is None
    assert diagnose_hunk(CHANGE, ["new"] * 9 + FILE) is None


def test_a_hunk_whose_result_is_there_is_already_applied() -> None:
    """Its reverse applies."""
    there = [line if line != "line 7" else "seven" for line in FILE]
    assert diagnose_hunk(CHANGE, there) == (Diagnosis.ALREADY_APPLIED, "the lines it makes are there, at line 5")


def test_drifted_context_is_told_with_how_much_of_it_and_where() -> None:
    """One line of context less is enough here."""
    drifted = ["new", "new", *(line if line != "line 9" else "nine" for line in FILE)]
    assert diagnose_hunk(CHANGE, drifted) == (
        Diagnosis.CONTEXT_DRIFTED,
        "it applies at line 7 (offset +2) with 1 line of context less",
    )


def test_white_space_alone_is_called_so() -> None:
    """Tabs against spaces, mostly a mail program's work."""
    found = diagnose_hunk(CHANGE, [line.replace(" ", "\t") for line in FILE])
    assert found == (Diagnosis.CONTEXT_DRIFTED, "the lines are there but for white space, at line 5")


def test_a_changed_line_is_a_conflict_and_named() -> None:
    """The line that the hunk would remove is not there."""
    changed = [line if line != "line 7" else "other" for line in FILE]
    assert diagnose_hunk(CHANGE, changed) == (Diagnosis.CONFLICT, "it expects 'line 7', which is not in the file")


def test_lines_that_were_moved_apart_are_a_conflict() -> None:
    """Every line is there, and still it does not fit."""
    moved = ["line 7", *(line for line in FILE if line != "line 7")]
    assert diagnose_hunk(CHANGE, moved) == (
        Diagnosis.CONFLICT,
        "every line it expects is in the file, but not together",
    )


def test_a_missing_context_line_is_named_where_the_removed_ones_are_there() -> None:
    """The first expected line that is gone."""
    changed = ["line 7", "line 6"]
    assert diagnose_hunk(CHANGE, changed) == (Diagnosis.CONFLICT, "it expects 'line 5', which is not in the file")


def test_a_cut_off_hunk_is_corrupt() -> None:
    """The line is that of the patch."""
    found = diagnose_hunk(Hunk(7, 5, 5, (" line 5",), is_cut_off=True), FILE)
    assert found is not None and found[0] is Diagnosis.CORRUPT and "line 7 of the patch" in found[1]


def test_the_nearest_place_is_found() -> None:
    """Files repeat themselves."""
    lines = ["a", "b", "a", "b", "a", "b"]
    assert find(["a", "b"], lines, 3) == 2
    assert find(["a", "b"], lines, 5) == 4
    assert find(["c"], lines, 0) is None
    assert find([], lines, 99) == 6
