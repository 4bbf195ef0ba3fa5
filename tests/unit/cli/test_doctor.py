from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.__main__ import run
from lab.cli import doctor
from lab.errors import HostError, MissingPackagesError
from lab.host.accelerator_choice import AcceleratorChoice, Subject
from lab.host.requirements import OPTIONAL, REQUIREMENTS
from lab.host.surroundings import Surroundings
from tests.unit.host.probes import ON_TCG, subject
from tests.unit.host.test_doctor import AROUND, IDEAL


class Host:
    """The host that the doctor sees, to be changed by a test."""

    def __init__(self) -> None:
        self.around: Surroundings = AROUND
        self.last: Subject | None = None
        self.answer: Callable[[], AcceleratorChoice] = lambda: ON_TCG
        self.probed: list[tuple[Subject, bool]] = []
        self.installed: list[object] = []

    def probe(self, what: Subject, *, progress: object, force: bool, facts: object) -> AcceleratorChoice:
        """Answer, and remember what was asked."""
        assert facts is IDEAL and progress is not None
        self.probed.append((what, force))
        return self.answer()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return an ideal host on which nothing has been booted yet."""
    host = Host()
    monkeypatch.setattr(doctor, "host_facts", lambda: IDEAL)
    monkeypatch.setattr(doctor, "read_surroundings", lambda: host.around)
    monkeypatch.setattr(doctor, "last_subject", lambda _fingerprint: host.last)
    monkeypatch.setattr(doctor, "probe_subject", host.probe)
    monkeypatch.setattr(doctor, "missing_packages", lambda: host.around.missing)
    monkeypatch.setattr(doctor, "missing_optional_packages", lambda: host.around.missing_optional)
    monkeypatch.setattr(doctor, "install_packages", lambda missing, _progress: host.installed.append(missing))
    return host


def test_json_has_what_scripts_rely_on(host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The accelerator that boots, why, the tiers, and each finding with its remedy."""
    host.last = subject(tmp_path)
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["accelerator"], found["tiers"]) == ("tcg", ["qtest", "tcg"])
    assert "KVM does not work here" in found["reason"]
    assert {"name": "accelerator", "ok": False}.items() <= next(
        one.items() for one in found["findings"] if one["name"] == "accelerator"
    )
    assert host.probed == [(host.last, False)]


def test_before_the_first_boot_nothing_is_probed(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """Without anything to boot the accelerator is null, which is no failure."""
    assert run(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accelerator"] is None
    assert host.probed == []


def test_probing_asks_again(host: Host, tmp_path: Path) -> None:
    """--probe does not believe the cache."""
    host.last = subject(tmp_path)
    assert run(["doctor", "--probe", "--quiet"]) == 0
    assert host.probed == [(host.last, True)]


def test_probing_builds_what_there_is_not(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing has been booted, --probe builds the distribution's QEMU and the default image and boots them."""
    what = subject(tmp_path)
    source = object()

    def build_arms(tree: object, series: object, *, progress: object) -> SimpleNamespace:
        assert tree is source and series is None and progress is not None
        return SimpleNamespace(baseline=SimpleNamespace(qemu=what.qemu, firmware=what.firmware))

    monkeypatch.setattr(doctor, "source_from_distribution", lambda *, progress: source)
    monkeypatch.setattr(doctor, "build_arms", build_arms)
    monkeypatch.setattr(doctor, "load_recipe", lambda path: path.name)
    monkeypatch.setattr(doctor, "build_image", lambda recipe, *, progress: what if recipe == "default.toml" else None)
    assert run(["doctor", "--probe", "--quiet"]) == 0
    assert host.probed == [(what, True)]


def test_a_host_that_boots_nothing_is_exit_code_3(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The failure of the probe is a finding like the others, with its remedy."""
    host.last = subject(tmp_path)

    def fail() -> AcceleratorChoice:
        raise HostError("no accelerator boots the guest image", remedy="read the console")

    host.answer = fail
    assert run(["doctor"]) == 3
    out = capsys.readouterr().out
    assert "MISSING accelerator   no accelerator boots the guest image" in out
    assert "what to do: read the console" in out and "cannot run here" in out


def test_missing_packages_are_exit_code_3(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --fix nothing is installed, and the command is shown."""
    host.around = replace(AROUND, missing=REQUIREMENTS)
    assert run(["doctor"]) == 3
    assert "sudo apt-get update && sudo apt-get install" in capsys.readouterr().out
    assert host.installed == []


def test_fixing_installs_before_looking(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """--fix installs what is missing, and the diagnosis is that of the host afterwards."""
    host.around = replace(AROUND, missing=REQUIREMENTS[:2], missing_optional=OPTIONAL)

    def install(missing: object, _progress: object) -> None:
        host.installed.append(missing)
        host.around = AROUND

    monkeypatch.setattr(doctor, "install_packages", install)
    assert run(["doctor", "--fix", "--quiet"]) == 0
    assert host.installed == [REQUIREMENTS[:2], OPTIONAL], "apart, so that one can fail without the other"


def test_what_cannot_be_fixed_is_said_and_diagnosed(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installation that is not possible does not keep the doctor from looking at the rest."""
    host.around = replace(AROUND, missing=REQUIREMENTS[:1])

    def install(_missing: object, _progress: object) -> None:
        raise MissingPackagesError("only root can install packages", remedy="run: sudo apt-get install gcc")

    monkeypatch.setattr(doctor, "install_packages", install)
    assert run(["doctor", "--fix"]) == 3
    captured = capsys.readouterr()
    assert "only root can install packages" in captured.err and "run: sudo apt-get install gcc" in captured.err
    assert "missing: gcc" in captured.out and "load" in captured.out


def test_on_a_terminal_there_is_a_table(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """People get the same findings and remedies in a table; control characters in them are spelled out."""
    host.last = subject(tmp_path)
    host.answer = lambda: replace(ON_TCG, reason="the console said \x1b[2J")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "note" in out and "accelerator" in out and "bare metal" in out
    assert "\x1b[2J" not in out and "\\x1b[2J" in out
    assert "The lab can run here. Tiers that work: qtest, tcg." in out


def test_elsewhere_there_are_plain_lines(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding a line, its remedy below it, and the sum at the end."""
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok      packages      everything the lab needs is installed"
    assert lines[2].strip().startswith("what to do: the first 'lab run' probes it")
    assert lines[-1] == "The lab can run here. Tiers that work: not known yet."
    assert host.probed == []
