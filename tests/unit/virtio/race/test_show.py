import json
from pathlib import Path

from lab.virtio.backing import Backing
from lab.virtio.race.attempt import RaceResult
from lab.virtio.race.campaign import Finding
from lab.virtio.race.judge import Fault, FaultKind, RaceJudgement
from lab.virtio.race.schedule import Action, Schedule, Step, schedule_from_text
from lab.virtio.race.show import Asked, races_document, races_text, verdict_of_races, write_finding
from lab.virtio.verdict import Verdict

RACE = Schedule(5, "2", ("t0", "t1"), {}, 4, Backing.NULL, (Step(Action.STOP), Step(Action.CONT)))
FAULT = Fault(FaultKind.CRASH, "QEMU ended by itself with signal SIGABRT", "assertion failed")


def result(*faults: Fault, undecided: str = "") -> RaceResult:
    """Return what came of the race."""
    return RaceResult(RACE, RaceJudgement(faults, undecided), 10, 2, (), "qemu -x", None, 0.5)


def test_the_verdict_of_races() -> None:
    """One failure is enough; what says nothing does not pass."""
    assert verdict_of_races([result()]) is Verdict.PASSED
    assert verdict_of_races([result(), result(undecided="slow")]) is Verdict.UNDECIDED
    assert verdict_of_races([result(FAULT), result(undecided="slow")]) is Verdict.FAILED


def test_a_finding_is_written_to_be_run_again(tmp_path: Path) -> None:
    """A schedule, a script and a command line; the text names them."""
    finding = Finding(FAULT, result(FAULT), (5, 9), RACE.with_steps(RACE.steps[:1]), 23, 24)
    files = write_finding(finding, tmp_path)
    assert schedule_from_text(files.schedule.read_text()) == finding.shortest
    assert files.script.stat().st_mode & 0o100 and files.command_line.read_text() == "qemu -x\n"
    asked = Asked(Path("/q emu"), ("none", "2"), ("pause",))
    text = races_text(asked, [result(FAULT), result()], [(finding, files)])
    assert "23 of 24 performances" in text and str(files.script) in text and '{"action": "stop"}' in text
    assert text.endswith("2 races with 20 commands and 4 functions: 1 went wrong, 0 undecided")
    document = json.loads(json.dumps(races_document(asked, [result(FAULT)], [(finding, files)])))
    assert document["summary"] == {"races": 1, "failed": 1, "undecided": 0}
    assert document["findings"][0]["schedule"]["steps"] == [{"action": "stop"}]
    assert document["findings"][0]["again"] == f"lab race --qemu '/q emu' --replay {files.schedule}" in text


def test_the_call_that_draws_a_schedule_again_names_all_that_it_was_drawn_from(tmp_path: Path) -> None:
    """A seed alone gives another schedule where there was less to choose from; a replayed one was not drawn."""
    asked = Asked(Path("/qemu"), ("none", "2"), ("pause", "resets"))
    assert asked.drawn(9) == (
        "lab race --qemu /qemu --seed 9 --count 1 --theme pause --theme resets --mapping none --mapping 2"
    )
    finding = Finding(FAULT, result(FAULT), (5,), RACE, 1, 1)
    files = write_finding(finding, tmp_path)
    assert asked.drawn(5) in races_text(asked, [result(FAULT)], [(finding, files)])
    assert "drawn" not in races_text(Asked(Path("/qemu")), [result(FAULT)], [(finding, files)])
    assert races_document(Asked(Path("/qemu")), [result(FAULT)], [(finding, files)])["findings"][0]["drawn"] is None


def test_why_nothing_was_said() -> None:
    """Is said once, with how often."""
    assert "slow: 2 times undecided" in races_text(Asked(Path("q")), [result(undecided="slow")] * 2, [])
