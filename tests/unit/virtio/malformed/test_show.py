"""Results of malformed requests, as they are shown."""

from __future__ import annotations

from pathlib import Path

from lab.virtio.malformed.attempt import MalformedResult
from lab.virtio.malformed.case import malformed_cases
from lab.virtio.malformed.fuzz import Fuzzed
from lab.virtio.malformed.perform import Outcome, Reaction
from lab.virtio.malformed.request import MalformedRequest
from lab.virtio.malformed.show import fuzzed_document, fuzzed_text, malformed_document, malformed_text
from lab.virtio.virtio_scsi import CommandResponse

QEMU = Path("/q emu")
REQUEST = MalformedRequest(2, ())


def result(name: str, mapping: str, outcome: Outcome | None = Outcome.IGNORED, **changes: object) -> MalformedResult:
    """Return what came of a request."""
    returned = (0,) if outcome is Outcome.RETURNED else ()
    response = CommandResponse(3, 0, 0, None) if returned else None
    reaction = Reaction(outcome, returned, response, early=False) if outcome else None
    plain = {"faults": (), "trouble": "", "evidence": None, "seconds": 0.12345}
    return MalformedResult(name, mapping, REQUEST, reaction, **{**plain, **changes})  # type: ignore[arg-type]


RESULTS = (
    result("head 65535", "none"),
    result("head 65535", "2"),
    result("no header", "none", Outcome.RETURNED),
    result("no header", "2", Outcome.NEEDS_RESET),
    result("no response", "2", faults=("it may not",), evidence=Path("/e/x")),
    result("x.json", "2", None, trouble="no CPU time", evidence=Path("/e/y")),
)


def test_mappings_that_agree_are_one_line() -> None:
    """The others have a line each, with their mapping."""
    lines = malformed_text(QEMU, RESULTS).splitlines()
    assert lines[0] == "Malformed requests to /q emu"
    assert [line.split("  ")[0] for line in lines[2:6]] == ["head 65535", "no header", "no header", "no response"]
    assert lines[2].endswith(" does nothing") and "(mapping none)" in lines[3] and "BAD_TARGET" in lines[3]
    assert lines[4].endswith("asks for a reset (mapping 2)") and "FAIL does nothing" in lines[5]
    assert lines[-1] == "6 cases: 4 passed, 1 failed, 1 undecided"


def test_what_did_not_pass_is_explained_and_can_be_run_again() -> None:
    """A named case by its name; a stored request has none."""
    text = malformed_text(QEMU, RESULTS)
    assert "failed: no response, mapping 2\n    it may not\n    evidence: /e/x\n" in text
    assert "    run it again: lab malformed --qemu '/q emu' --mapping 2 --only 'no response'\n" in text
    assert "undecided: x.json, mapping 2\n    no CPU time\n    evidence: /e/y\n" in text
    assert text.count("run it again") == 1


def test_a_name_is_a_pattern_for_itself() -> None:
    """So that --only with the name of a case takes just that case."""
    names = [case.name for case in malformed_cases()]
    assert len(set(names)) == len(names) and not any(set(name) & set("*?[]") for name in names)


def test_the_document_has_everything() -> None:
    """For scripts."""
    found = malformed_document(QEMU, RESULTS)
    assert found["binary"] == "/q emu" and found["summary"] == {"passed": 4, "failed": 1, "undecided": 1}
    first, answered, silent = found["cases"][0], found["cases"][2], found["cases"][5]
    assert (first["outcome"], first["response"], first["seconds"]) == ("does nothing", None, 0.123)
    assert answered["response"] == "BAD_TARGET" and silent["outcome"] is None and silent["trouble"] == "no CPU time"


def test_what_was_drawn_is_told() -> None:
    """How many, and the smallest that fails with the call that puts it again."""
    assert fuzzed_text(QEMU, 7, "2", Fuzzed(30)).endswith(
        "30 requests drawn from seed 7 for /q emu, mapping 2: nothing wrong"
    )
    assert fuzzed_document(QEMU, 7, Fuzzed(30)) == {"binary": "/q emu", "seed": 7, "requests": 30, "finding": None}
    found = Fuzzed(30, REQUEST, ("it crashed",), Path("/e/request.json"))
    text = fuzzed_text(QEMU, 7, "2", found)
    assert text.startswith("failed: 30 requests") and "\nit crashed\n" in text
    assert text.endswith("lab malformed --qemu '/q emu' --mapping 2 --replay /e/request.json")
    finding = fuzzed_document(QEMU, 7, found)["finding"]
    assert finding["faults"] == ["it crashed"] and finding["request"]["queue"] == 2
