"""A comparison to JUnit XML, the form in which CI systems show tests: a test case per point and metric.

Elements and attributes are those that Jenkins, GitLab and GitHub actions agree on. A metric that decides fails where it
regressed and is skipped where nothing was decided: missing data is neither a pass nor a failure. Metrics that are only
shown are skipped, too, whatever they say, and so is a regression that was planted for a demonstration: the file never
fails where ``lab run`` does not.
"""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree as ET

from lab.analysis.compare import Comparison
from lab.analysis.family import PointComparison
from lab.analysis.verdict import Verdict
from lab.progress import printable
from lab.report.again import experiment_again
from lab.report.provenance import source_line
from lab.report.sentences import point_sentence

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PASSES = (Verdict.IMPROVED, Verdict.NO_CHANGE_DETECTED)


def junit_text(comparison: Comparison) -> str:
    """Return the report as JUnit XML."""
    results = comparison.results
    suite = ET.Element("testsuite", name=_clean(results.question.title))
    kinds: Counter[str] = Counter()
    planted = results.question.known_verdict == comparison.verdict.value and not comparison.findings
    for point in comparison.points:
        kinds[_add_point(suite, point, planted=planted)] += 1
    for number, finding in enumerate(comparison.findings, start=1):
        case = ET.SubElement(suite, "testcase", classname="findings", name=f"finding {number}", time="0")
        _add(case, "failure", finding)
        kinds["failure"] += 1
    for number, doubt in enumerate(comparison.doubts, start=1):
        case = ET.SubElement(suite, "testcase", classname="findings", name=f"doubt {number}", time="0")
        _add(case, "skipped", doubt, "DOUBT")
        kinds["skipped"] += 1
    seconds = sum(record.duration_s for record in results.records)
    counts = {"tests": kinds.total(), "failures": kinds["failure"], "errors": 0}
    root = ET.Element("testsuites", name="lab")
    for element in (root, suite):
        element.attrib.update({name: str(count) for name, count in counts.items()}, time=f"{seconds:.3f}")
    suite.set("skipped", str(kinds["skipped"]))
    if results.records:
        suite.set("timestamp", _clean(results.records[0].started_at[:19]))
    again = experiment_again(results)
    told = [source_line(results), *(caveat.text for caveat in comparison.caveats), f"to reproduce: {again.command}"]
    told += [f"{name}: {value}" for name, value in again.facts]
    ET.SubElement(suite, "system-out").text = _clean("\n".join(told))
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _add_point(suite: ET.Element, point: PointComparison, *, planted: bool) -> str:
    """Add the test case of a point, and return what became of it.

    :param planted: the verdict is the one that a demonstration series must get.
    """
    case = ET.SubElement(suite, "testcase", classname=_clean(point.metric.name), name=_clean(point.point.id), time="0")
    sentence = point_sentence(point)
    kind = ""
    if not point.judged:
        kind, sentence = "skipped", f"shown only, it does not decide: {sentence}"
    elif point.verdict is Verdict.REGRESSED and planted:
        kind, sentence = "skipped", f"planted for a demonstration, and found: {sentence}"
    elif point.verdict is Verdict.REGRESSED:
        kind = "failure"
    elif point.verdict not in _PASSES:
        kind = "skipped"
    if kind:
        _add(case, kind, sentence, point.verdict.value)
    told = [sentence, *(f"warning: {caveat.text}" for caveat in point.caveats)]
    ET.SubElement(case, "system-out").text = _clean("\n".join(told))
    return kind


def _add(case: ET.Element, kind: str, message: str, sort: str = "FINDING") -> None:
    element = ET.SubElement(case, kind, message=_clean(message), type=sort)
    if kind == "failure":
        element.text = _clean(message)


def _clean(text: str) -> str:
    """Return text that XML can hold; what it cannot, not even escaped, is shown as an escape."""
    return _NOT_XML.sub("\ufffd", printable(text))
