"""``lab scenario``."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.cli import scenario as module
from lab.cli.scenario import scenario_command
from lab.errors import ExitCode, InputError
from lab.scenario.catalogue import SCENARIOS, Scenario
from lab.scenario.perform import Ground, ScenarioResult
from lab.scenario.service import ServiceGap
from lab.virtio.verdict import Verdict
from tests.unit.cli.test_compare import run
from tests.unit.experiment.made_up import IMAGE

GAP = ServiceGap("mirror", 1.0, 1000.0, 0.0, 0.4, 0.7)


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Verdict]:
    """Replace builds, image, probe and guests; verdicts by the name of the binary's folder."""
    (tmp_path / "baseline" / "firmware").mkdir(parents=True)
    verdicts = {"baseline": Verdict.PASSED, "candidate": Verdict.PASSED}

    def perform(scenario: Scenario, ground: Ground, *, times: int, evidence: Path) -> ScenarioResult:
        assert evidence.is_dir()
        arm = ground.qemu.parent.name
        assert ground.firmware == ((ground.qemu.parent / "firmware",) if arm == "baseline" else ())
        verdict = verdicts[arm]
        reason = "" if verdict is Verdict.PASSED else "data was lost"
        return ScenarioResult(scenario.name, verdict, reason, times, 1.0, evidence, 5, (GAP,))

    def asked(options: Mapping[str, Any], *, progress: object) -> dict[str, Path]:
        named = ("baseline", "candidate") if options["series"] or options["candidate"] else ("baseline",)
        return {arm: tmp_path / arm / "qemu-system-x86_64" for arm in named}

    monkeypatch.setattr(module, "perform", perform)
    monkeypatch.setattr(module, "require_packages", lambda: None)
    monkeypatch.setattr(module, "asked_binaries", asked)
    monkeypatch.setattr(module, "load_recipe", lambda _path: None)
    monkeypatch.setattr(module, "build_image", lambda _recipe, progress: IMAGE)
    monkeypatch.setattr(module, "probe_accelerator", lambda *_words, **_more: SimpleNamespace(accelerator="tcg"))
    return verdicts


def test_the_list_names_each_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is built for it."""
    assert run(scenario_command, "--list") == ExitCode.DONE
    assert len(capsys.readouterr().out.splitlines()) == len(SCENARIOS)
    assert run(scenario_command, "--list", "--json") == ExitCode.DONE
    assert {row["name"] for row in json.loads(capsys.readouterr().out)["scenarios"]} == set(SCENARIOS)


def test_a_base_that_takes_it_exits_with_zero(
    performed: dict[str, Verdict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per scenario, with what it cost the guest."""
    assert run(scenario_command, "mirror", "--evidence", tmp_path / "e", "--quiet") == ExitCode.DONE
    out = capsys.readouterr().out
    assert "mirror           passed         1  100 %     0.40 s     0.70 s" in out and "candidate" not in out


def test_a_series_that_breaks_something_is_a_finding_in_words(
    performed: dict[str, Verdict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is the candidate's."""
    performed["candidate"] = Verdict.FAILED
    words = ("mirror", "backup", "--series", "s.mbox", "--evidence", tmp_path / "e", "--quiet")
    assert run(scenario_command, *words) == ExitCode.FINDING
    assert "The candidate breaks mirror: data was lost" in capsys.readouterr().out


def test_a_series_that_mends_something_exits_with_zero(
    performed: dict[str, Verdict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON has both arms, their traces and the sentence."""
    performed["baseline"] = Verdict.FAILED
    binaries = ("--qemu", "a", "--candidate", "b")
    words = ("mirror", *binaries, "--evidence", tmp_path / "e", "--quiet", "--json")
    assert run(scenario_command, *words) == ExitCode.DONE
    value = json.loads(capsys.readouterr().out)
    assert value["changes"] == [{"sentence": "mends mirror: data was lost", "better": True, "cases": ["mirror"]}]
    assert Path(value["binaries"]["candidate"]).parent.name == "candidate"
    assert value["baseline"][0]["verdict"] == "failed" and value["candidate"][0]["gaps"][0]["recovery_s"] == 0.7


def test_what_could_not_be_decided_exits_with_four(performed: dict[str, Verdict], tmp_path: Path) -> None:
    """It is neither a pass nor a finding."""
    performed["baseline"] = Verdict.UNDECIDED
    assert run(scenario_command, "mirror", "--evidence", tmp_path / "e", "--quiet") == ExitCode.UNDECIDED


def test_evidence_of_another_call_is_not_overwritten(
    performed: dict[str, Verdict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a file taken for a folder, and that is said before anything is built."""
    monkeypatch.setattr(module, "asked_binaries", lambda *_words, **_more: pytest.fail("it builds"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not empty"):
        run(scenario_command, "mirror", "--evidence", tmp_path, "--quiet")
    with pytest.raises(InputError, match="cannot be a folder"):
        run(scenario_command, "mirror", "--evidence", tmp_path / "file", "--quiet")


def test_a_gap_that_was_not_seen_to_end_is_told(
    performed: dict[str, Verdict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a scenario without one has none."""
    gaps = {"mirror": (GAP, replace(GAP, recovery_s=None)), "quit": ()}

    def perform(scenario: Scenario, _ground: Ground, *, times: int, evidence: Path) -> ScenarioResult:
        return ScenarioResult(scenario.name, Verdict.PASSED, "", times, 1.0, evidence, gaps=gaps[scenario.name])

    monkeypatch.setattr(module, "perform", perform)
    run(scenario_command, "mirror", "quit", "--evidence", tmp_path / "e", "--quiet")
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"mirror passed 1 100 % 0.40 s not seen", "quit passed 1 - - -"} <= set(rows)
