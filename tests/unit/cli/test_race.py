import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import lab.cli.race as verb
from lab.errors import ExitCode, InputError
from lab.virtio.race.attempt import RaceResult
from lab.virtio.race.judge import Fault, FaultKind, RaceJudgement
from lab.virtio.race.schedule import Schedule

FAULT = Fault(FaultKind.CRASH, "QEMU ended by itself", "assertion")


class Performed:
    """Performers that have nothing to perform with; what they were given is kept."""

    schedules: Sequence[Schedule] = ()
    judgement = RaceJudgement(())
    judgements: Mapping[str, RaceJudgement] = {}

    def __init__(self, qemu: Path) -> None:
        assert qemu.is_absolute()
        self.judgement = self.judgements.get(qemu.name, self.judgement)

    def __enter__(self) -> "Performed":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def perform(self, schedules: Sequence[Schedule], evidence: Path | None) -> Any:
        """Perform nothing, as the test says."""
        Performed.schedules = schedules
        assert evidence is not None
        return [(n, RaceResult(s, self.judgement, 1, 1, (), "qemu", None, 0.1)) for n, s in enumerate(schedules)]

    def count(self, _: Schedule, fault: Fault, times: int = 24) -> tuple[int, int]:
        """Say what performances show."""
        return (times if self.judgement.has(fault) else 0), times


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the verb, with a binary that takes two mappings."""
    qemu, other = tmp_path / "qemu", tmp_path / "other"
    for path in (qemu, other):
        path.write_text("#!/bin/sh\necho QEMU emulator version 10.0.13\n")
        path.chmod(0o700)
    monkeypatch.setattr(verb, "Performers", Performed)
    monkeypatch.setattr("lab.cli.binaries.mappings_of", lambda _: ("none", "2"))
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))

    def called(*words: str) -> int:
        args = ["--qemu", str(qemu), "--quiet", *words]
        code = verb.race.main(args=args, prog_name="lab", standalone_mode=False)
        assert isinstance(code, int)
        return code

    return called


@pytest.mark.parametrize(
    ("judgement", "code"),
    [
        (RaceJudgement(()), ExitCode.DONE),
        (RaceJudgement((FAULT,)), ExitCode.FINDING),
        (RaceJudgement((), "slow"), ExitCode.UNDECIDED),
    ],
)
def test_the_exit_code_is_the_verdict(
    call: Any, monkeypatch: pytest.MonkeyPatch, judgement: RaceJudgement, code: ExitCode
) -> None:
    """0 nothing wrong, 1 something, 4 nobody knows."""
    monkeypatch.setattr(Performed, "judgement", judgement)
    assert call("--count", "3", "--no-reduce") == code


def test_both_binaries_perform_the_same_schedules(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the candidate mends is said, and the exit code is the candidate's; neither is the other way round."""
    other = (
        "--candidate",
        str(tmp_path / "other"),
        "--count",
        "12",
        "--theme",
        "pause",
        "--mapping",
        "2",
        "--no-reduce",
    )
    file = tmp_path / "stored.json"
    call("--seed", "7", "--count", "1")
    file.write_text(json.dumps(Performed.schedules[0].to_json()))
    again = ("--candidate", str(tmp_path / "other"), "--replay", str(file))
    monkeypatch.setattr(Performed, "judgements", {"qemu": RaceJudgement((FAULT,))})
    assert call(*again) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "The candidate mends this: QEMU ends by itself: assertion (baseline 20 of 20, candidate 0 of 24 " in said
    monkeypatch.setattr(Performed, "judgements", {"other": RaceJudgement((FAULT,))})
    assert call(*again, "--json") == ExitCode.FINDING
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"baseline", "candidate", "changes"} and found["changes"][0]["better"] is False
    monkeypatch.setattr(Performed, "judgements", {})
    assert call(*other) == ExitCode.DONE
    assert "shows nothing that the baseline does not" in capsys.readouterr().out


def test_a_candidate_that_fails_only_when_it_is_asked_again_has_failed(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was lucky the first time; that is no success."""
    monkeypatch.setattr(Performed, "judgements", {"qemu": RaceJudgement((FAULT,))})
    monkeypatch.setattr(Performed, "count", lambda *_: (5, 24))
    code = call("--candidate", str(tmp_path / "other"), "--count", "2", "--theme", "pause", "--no-reduce")
    assert code == ExitCode.FINDING
    assert "The candidate shows what the baseline shows, too" in capsys.readouterr().out


def test_what_is_printed_draws_the_same_schedule_again(
    call: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With fewer themes and mappings to choose from, a seed is another schedule: the call names them all."""
    monkeypatch.setattr(Performed, "judgement", RaceJudgement((FAULT,)))
    call("--seed", "3", "--count", "4", "--theme", "resets", "--theme", "pause", "--no-reduce", "--json")
    drawn = {schedule.seed: schedule for schedule in Performed.schedules}
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    words = shlex.split(finding["drawn"])
    assert words[:3] == ["lab", "race", "--qemu"]
    call(*words[4:])
    (again,) = Performed.schedules
    assert again == drawn[again.seed] and again.seed == finding["schedule"]["seed"]
    alone = ["--seed", str(again.seed), "--count", "1"]
    call(*alone)
    assert Performed.schedules[0] != again, "a seed alone is another schedule, or this test shows nothing"


def test_seeds_follow_each_other(call: Any) -> None:
    """From the one that is given; mappings and themes are chosen from."""
    call("--seed", "40", "--count", "3", "--mapping", "2", "--theme", "resets")
    assert [schedule.seed for schedule in Performed.schedules] == [40, 41, 42]
    assert {schedule.mapping for schedule in Performed.schedules} == {"2"}
    call("--seed", "0", "--count", "1")
    assert [schedule.seed for schedule in Performed.schedules] == [0], "0 is a seed like any other"


def test_a_stored_schedule_is_performed_again(call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As often as asked for; the output is one document."""
    call("--seed", "7", "--count", "1")
    drawn = Performed.schedules[0]
    file = tmp_path / "stored.json"
    file.write_text(json.dumps(drawn.to_json()))
    capsys.readouterr()
    assert call("--replay", str(file), "--count", "5", "--json") == ExitCode.DONE
    assert list(Performed.schedules) == [drawn] * 5
    assert json.loads(capsys.readouterr().out)["summary"]["races"] == 5


def test_what_cannot_be_is_refused(call: Any, tmp_path: Path) -> None:
    """A mapping that the binary does not take, what would not matter, and a file that is no text."""
    with pytest.raises(InputError, match="does not take --mapping 4"):
        call("--mapping", "4", "--mapping", "2")
    for words in (("--seed", "3"), ("--theme", "resets"), ("--mapping", "2")):
        with pytest.raises(InputError, match="--replay names a schedule"):
            call("--replay", "x.json", *words)
    file = tmp_path / "stored.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        call("--replay", str(file))
    file.write_text("# A page")
    with pytest.raises(InputError, match=r"stored\.json: not a schedule of a race"):
        call("--replay", str(file))


def test_a_replayed_file_is_neither_waited_for_nor_read_without_end(call: Any, tmp_path: Path) -> None:
    """A device, and a file larger than any that the lab writes, are refused."""
    with (tmp_path / "large.json").open("wb") as sink:
        sink.truncate(2 << 20)
    for file, why in (("/dev/zero", "regular"), (tmp_path / "large.json", "larger")):
        with pytest.raises(InputError, match=why):
            call("--replay", str(file))
