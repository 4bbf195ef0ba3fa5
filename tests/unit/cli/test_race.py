import json
from collections.abc import Sequence
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

    def __init__(self, qemu: Path) -> None:
        assert qemu.is_absolute()

    def __enter__(self) -> "Performed":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def perform(self, schedules: Sequence[Schedule], evidence: Path | None) -> Any:
        """Perform nothing, as the test says."""
        Performed.schedules = schedules
        return [(n, RaceResult(s, self.judgement, 1, 1, (), "qemu", None, 0.1)) for n, s in enumerate(schedules)]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the verb, with a binary that takes two mappings."""
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\necho QEMU emulator version 10.0.13\n")
    qemu.chmod(0o700)
    monkeypatch.setattr(verb, "Performers", Performed)
    monkeypatch.setattr(verb, "mappings_of", lambda _: ("none", "2"))
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


def test_seeds_follow_each_other(call: Any) -> None:
    """From the one that is given; mappings and themes are chosen from."""
    call("--seed", "40", "--count", "3", "--mapping", "2", "--theme", "resets")
    assert [schedule.seed for schedule in Performed.schedules] == [40, 41, 42]
    assert {schedule.mapping for schedule in Performed.schedules} == {"2"}


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
    """A mapping that the binary does not take, and a file that is no text."""
    with pytest.raises(InputError, match="none of the mappings 4"):
        call("--mapping", "4")
    file = tmp_path / "stored.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        call("--replay", str(file))


def test_a_replayed_file_is_neither_waited_for_nor_read_without_end(call: Any, tmp_path: Path) -> None:
    """A device, and a file larger than any that the lab writes, are refused."""
    with (tmp_path / "large.json").open("wb") as sink:
        sink.truncate(2 << 20)
    for file, why in (("/dev/zero", "regular"), (tmp_path / "large.json", "larger")):
        with pytest.raises(InputError, match=why):
            call("--replay", str(file))
