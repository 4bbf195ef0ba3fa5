from pathlib import Path
from typing import Any

import pytest

from lab.errors import InputError
from lab.report.charts import matrices_from_json, tmf_chart
from tests.unit.report.charts.opened import CAPTION, opened
from tests.unit.report.examples import HOSTILE


def case(subtype: str, verdict: str, *, mapping: str = "1", tag: str = "in flight", lun: str = "present") -> Any:
    """Return a case as ``lab tmf --json`` prints it, as far as the picture needs it."""
    return {"subtype": subtype, "mapping": mapping, "tag_state": tag, "lun_state": lun, "verdict": verdict}


DOCUMENT = {
    "binary": "/usr/bin/qemu",
    "cases": [
        case("ABORT_TASK", "passed"),
        case("ABORT_TASK", "failed", mapping="2"),
        case("ABORT_TASK", "undecided", mapping="4"),
        case("QUERY_TASK", "undecided"),
        case("QUERY_TASK", "passed", lun="absent LUN"),
        case(HOSTILE, "passed", tag=HOSTILE),
    ],
}


def test_cases_are_counted_over_the_mappings() -> None:
    """A cell counts cases, failures and what is undecided; a LUN that is not there is a situation of its own."""
    matrix = matrices_from_json(DOCUMENT, "x.json")["baseline"]
    assert matrix.rows == ("ABORT_TASK", "QUERY_TASK", HOSTILE)
    assert matrix.columns == ("in flight", "absent LUN", HOSTILE)
    assert matrix.counts["ABORT_TASK", "in flight"] == (3, 1, 1)
    assert matrix.counts["QUERY_TASK", "absent LUN"] == (1, 0, 0)


def test_the_matrix_is_drawn(tmp_path: Path) -> None:
    """Passed, failed, undecided and empty cells, and foreign names."""
    tmf_chart(tmp_path / "x.png", matrices_from_json(DOCUMENT, "x.json"), CAPTION)
    opened(tmp_path / "x.png")


def test_two_binaries_are_two_panels(tmp_path: Path) -> None:
    """One below the other, each with its name; they need not have the same cells."""
    other = {"binary": "other", "cases": [case("CLEAR_ACA", "passed")]}
    matrices = matrices_from_json({"baseline": DOCUMENT, "candidate": other, "changes": []}, "x.json")
    assert {arm: matrix.rows for arm, matrix in matrices.items()}["candidate"] == ("CLEAR_ACA",)
    tmf_chart(tmp_path / "two.png", matrices, CAPTION)
    tmf_chart(tmp_path / "one.png", {"baseline": matrices["baseline"]}, CAPTION)
    assert opened(tmp_path / "two.png").size[1] > 1.5 * opened(tmp_path / "one.png").size[1]
    words = (tmp_path / "two.svg").read_text(encoding="utf-8")
    assert "candidate" in words and "CLEAR_ACA" in words


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ([], "the document"),
        ({"binary": "q", "cases": []}, "cases"),
        ({"binary": "q", "cases": [{"subtype": 1}]}, "cases.0"),
        ({"baseline": DOCUMENT}, "candidate"),
        ({"binary": "q" * 5000, "cases": DOCUMENT["cases"]}, "binary: String should have at most"),
        ({"binary": "q", "cases": [case("F" * 201, "passed")]}, "cases.0.subtype: String should have at most"),
        ({"baseline": DOCUMENT, "candidate": {"binary": "q"}}, "candidate: cases"),
        ({"binary": "q", "cases": [case(f"F{n}", "passed") for n in range(41)]}, "41 functions in 1 situations"),
        ({"binary": "q", "cases": [case("F", "passed", tag=f"T{n}") for n in range(41)]}, "1 functions in 41"),
    ],
)
def test_another_document_is_refused(document: Any, key: str) -> None:
    """The message names the key, and says what is wanted."""
    with pytest.raises(InputError, match=f"x.json: {key}") as caught:
        matrices_from_json(document, "x.json")
    assert "lab tmf" in caught.value.remedy
