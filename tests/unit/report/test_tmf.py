"""The page and the picture of a matrix of task management functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.errors import InputError
from lab.report.tmf import draw_tmf, tmf_page
from tests.unit.report.charts.opened import svg
from tests.unit.report.conftest import quick_pictures
from tests.unit.report.examples import HOSTILE
from tests.unit.report.test_page import Page

__all__ = ["quick_pictures"]

FAILED: dict[str, Any] = {
    "verdict": "failed",
    "answer": None,
    "reasons": ["the function was never answered"],
    "evidence": "/e v/x",
}


def case(name: str, *, subtype: str = "ABORT_TASK", **changes: Any) -> dict[str, Any]:
    """Return a case as ``lab tmf --json`` prints it."""
    return {
        "id": name,
        "subtype": subtype,
        "mapping": "2",
        "tag_state": "in flight",
        "lun_state": "present",
        "answer": "FUNCTION_COMPLETE",
        "expected": ["FUNCTION_COMPLETE"],
        "rule": "SAM-5 7.2",
        "verdict": "passed",
        "reasons": [],
        "notes": [],
        "evidence": None,
        "again": f"lab tmf --qemu /qemu --only {name}",
        **changes,
    }


def document(*cases: dict[str, Any]) -> dict[str, Any]:
    """Return what ``lab tmf --json`` prints for one binary."""
    verdicts = [one["verdict"] for one in cases]
    summary = {verdict: verdicts.count(verdict) for verdict in ("passed", "failed", "undecided")}
    return {"binary": "/qemu", "cases": list(cases), "summary": summary}


def test_each_cell_leads_to_its_cases() -> None:
    """The worst case is the cell's verdict; every address is one in the page, or of evidence beside it."""
    shown = Page(
        tmf_page(
            document(case("one"), case("two", **FAILED), case("three", lun_state="absent LUN")), folder=Path("/e v")
        )
    )
    cells = [link for link in shown.all("a") if link.get("class", "").startswith("v-")]
    assert [cell["class"] for cell in cells] == ["v-failed", "v-passed"]
    targets = {attributes["id"] for _, attributes in shown.elements if "id" in attributes}
    inside = {link["href"].removeprefix("#") for link in shown.all("a") if link["href"].startswith("#")}
    assert inside and inside <= targets
    assert [link["href"] for link in shown.all("a") if not link["href"].startswith("#")] == ["x/"]
    assert "failed 1 of 2" in shown.words and "complete, no answer" in shown.words


def test_a_case_that_did_not_pass_is_explained() -> None:
    """With the reason, the rule, the evidence and the call that performs just it again; one that passed is a row."""
    words = Page(tmf_page(document(case("good"), case("bad", **FAILED)), folder=Path("/"))).words
    for said in ("the function was never answered", "Rule: SAM-5 7.2", "/e v/x", "lab tmf --qemu /qemu --only bad"):
        assert words.count(said) == 1
    assert "--only good" not in words and "candidate" not in words
    noted = case("noted", notes=["an absent target answers"])
    assert "noted: an absent target answers" in Page(tmf_page(document(noted), folder=Path("/"))).words


def test_what_the_candidate_changes_stands_first() -> None:
    """Above both matrices, marked as better or worse, with a link to the first case that shows it."""
    found = {
        "baseline": document(case("one", **FAILED), case("two")),
        "candidate": document(case("one"), case("two", verdict="undecided", reasons=["slow"])),
        "changes": [
            {"sentence": "makes ABORT_TASK answer", "better": True, "cases": ["one"]},
            {"sentence": "breaks CLEAR_ACA", "better": False, "cases": []},
            {"sentence": "could not be compared", "better": None, "cases": ["gone"]},
        ],
    }
    shown = Page(tmf_page(found, folder=Path("/")))
    assert "better The candidate makes ABORT_TASK answer: first case" in " ".join(shown.words.split())
    assert "worse The candidate breaks CLEAR_ACA" in " ".join(shown.words.split())
    assert shown.words.index("could not be compared") < shown.words.index("/qemu: 1 passed, 1 failed")
    assert "candidate: 1 cases passed, 0 failed, 1 undecided" in shown.words
    (first,) = [link["href"] for link in shown.all("a") if link["href"].startswith("#candidate-case")]
    assert ("tr", {"id": first.removeprefix("#")}) in shown.elements
    nothing = Page(tmf_page({**found, "changes": []}, folder=Path("/")))
    assert "It answers every case as the baseline does." in nothing.words


def test_foreign_text_stays_text() -> None:
    """Whatever a binary is called and whatever QEMU said: nothing but the style of the lab may apply, no script."""
    hostile = case(HOSTILE, **{**FAILED, "reasons": [HOSTILE], "rule": HOSTILE, "evidence": f"/{HOSTILE}"})
    found = document(hostile) | {"binary": HOSTILE}
    shown = Page(tmf_page(found, folder=Path("/")))
    assert not shown.all("script") and "script-src" not in shown.policy
    assert "default-src 'none'" in shown.policy and "style-src 'sha256-" in shown.policy
    assert "<script>alert(1)</script>" in shown.words and "\x1b" not in shown.words
    assert not any(link["href"].startswith("javascript:") for link in shown.all("a"))


def test_another_document_is_refused() -> None:
    """As by the picture."""
    with pytest.raises(InputError, match="cases"):
        tmf_page({"binary": "q"}, folder=Path("/"))


@pytest.mark.usefixtures("quick_pictures")
def test_the_picture_says_where_it_comes_from(tmp_path: Path) -> None:
    """One matrix, or two; the same function draws for lab tmf and for lab draw."""
    one = document(case("one", **FAILED))
    draw_tmf(tmp_path / "x.png", one, "x.json")
    draw_tmf(tmp_path / "y.png", json.loads(json.dumps({"baseline": one, "candidate": one, "changes": []})), "y.json")
    assert (tmp_path / "x.png").exists() and svg(tmp_path / "y.png") is not None
    with pytest.raises(InputError, match=r"x\.json: candidate"):
        draw_tmf(tmp_path / "z.png", {"baseline": one}, "x.json")
