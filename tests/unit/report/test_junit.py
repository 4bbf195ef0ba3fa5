from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from lab.analysis.compare import Comparison, compare_results
from lab.record import Arm, Outcome
from lab.report.junit import junit_text
from tests.unit.analysis.campaign import EXPERIMENT, Campaign
from tests.unit.report.examples import HOSTILE, results

# What readers of JUnit XML agree on: element to (attributes it must have, may have, elements inside).
FORM: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp"},
        {"testcase", "system-out"},
    ),
    "testcase": ({"name"}, {"classname", "time"}, {"skipped", "failure", "system-out"}),
    "failure": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def parsed(comparison: Comparison) -> ET.Element:
    """Return the file, checked for its form and for its sums."""
    root = ET.fromstring(junit_text(comparison))
    assert root.tag == "testsuites"
    for element in root.iter():
        needed, allowed, inside = FORM[element.tag]
        assert needed <= set(element.attrib) <= needed | allowed
        assert {child.tag for child in element} <= inside
    suite = root[0]
    for name, tag in (("tests", "testcase"), ("failures", "testcase/failure"), ("skipped", "testcase/skipped")):
        assert suite.get(name) == str(len(suite.findall(tag)))
    return suite


def kinds(suite: ET.Element, metric: str = "iops") -> list[str]:
    """Return what became of the test cases of a metric."""
    return [
        next((child.tag for child in case if child.tag != "system-out"), "passed")
        for case in suite.findall("testcase")
        if case.get("classname") == metric
    ]


@pytest.mark.parametrize(
    ("campaign", "kind"),
    [
        (Campaign(effect=lambda point: 0.5), "failure"),
        (Campaign(effect=lambda point: 2.0), "passed"),
        (Campaign(noise=0.05), "skipped"),
        (Campaign(blocks=1), "skipped"),
    ],
)
def test_a_point_is_a_test_case(campaign: Campaign, kind: str) -> None:
    """Only a regression fails, and what was not decided neither passes nor fails."""
    suite = parsed(compare_results(results(campaign)))
    assert kinds(suite) == [kind] * 3


def test_metrics_that_are_only_shown_never_fail() -> None:
    """The file says what the exit code says."""
    suite = parsed(compare_results(results(Campaign(effect=lambda point: 0.5))))
    assert kinds(suite, "clat_p99_ns") == ["skipped"] * 3


def test_what_was_planted_and_found_is_no_failure() -> None:
    """``lab run`` ends with 0 there; where the candidate crashes besides, or the verdict is another, it does not."""
    comparison = compare_results(results(Campaign(effect=lambda point: 0.5)))
    question = replace(comparison.results.question, known_verdict="REGRESSED")
    demonstration = replace(comparison, results=replace(comparison.results, question=question))
    suite = parsed(demonstration)
    assert kinds(suite) == ["skipped"] * 3
    messages = [case[0].get("message", "") for case in suite.findall("testcase")[:3]]
    assert all(message.startswith("planted for a demonstration, and found: ") for message in messages)
    assert kinds(parsed(replace(demonstration, findings=("QEMU crashed",)))) == ["failure"] * 3
    other = replace(comparison.results, question=replace(question, known_verdict="IMPROVED"))
    assert kinds(parsed(replace(comparison, results=other))) == ["failure"] * 3


def test_a_finding_is_a_failure() -> None:
    """A crash of the candidate is one whatever the speed."""
    crash = Campaign(fails=lambda run: Outcome.QEMU_CRASHED if run.cell.arm is Arm.CANDIDATE else None)
    suite = parsed(compare_results(results(crash)))
    assert kinds(suite, "findings") == ["failure"] and kinds(suite) == ["skipped"] * 3


def test_a_doubt_is_neither_a_pass_nor_a_failure() -> None:
    """The candidate hung once, as may be chance."""
    doubtful = replace(compare_results(results(Campaign(noise=0.001))), doubts=("the guest hung",))
    suite = parsed(doubtful)
    assert kinds(suite, "findings") == ["skipped"] and kinds(suite) == ["passed"] * 3


def test_nothing_measured_is_a_valid_file() -> None:
    """No test case, no time stamp."""
    suite = parsed(compare_results(results(Campaign(blocks=0))))
    assert suite.get("tests") == "0" and suite.get("timestamp") is None


def test_foreign_text_is_text() -> None:
    """Names and reasons with markup, control characters and what XML cannot hold make neither elements nor errors."""
    nasty = HOSTILE + "\x00\x08\ufffe]]><x>&amp;\ud800"
    made = results(Campaign(factors={"bs": (nasty, "4k")}, blocks=2, level=lambda point: 5.0), experiment=EXPERIMENT)
    comparison = compare_results(replace(made, question=replace(made.question, title=nasty, factors={})))
    suite = parsed(comparison)
    assert "<script>" in str(suite.get("name")) and "\\x00" in str(suite.get("name"))
    assert not set(junit_text(comparison)) & {"\x00", "\x1b", "\u202e", "\ufffe"}
