from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.cli import binaries as options
from lab.cli import capabilities as module
from lab.cli.capabilities import text_from_capabilities
from lab.errors import ExitCode
from lab.machine.capabilities import Capabilities
from tests.unit.experiment.made_up import arms
from tests.unit.machine.made_up_qemu import CAPABILITIES, OLD


@pytest.fixture(autouse=True)
def binaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two binaries, one from before the mapping."""

    def found(qemu: Path) -> Capabilities:
        return OLD if "old" in str(qemu) or str(qemu).startswith("baseline") else CAPABILITIES

    monkeypatch.setattr(module, "capabilities_of", found)
    monkeypatch.setattr(options, "arms_from_request", lambda *_, **__: arms())
    monkeypatch.setattr(options, "mappings_of", lambda _: ("none",))
    monkeypatch.setattr(options, "require_qemu", lambda path: path)


def test_one_binary_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """What it has, in rows."""
    assert run(["capabilities", "--qemu", "new"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "baseline: new" in out
    rows = {line[2:22].strip(): line[23:] for line in out.splitlines() if line.startswith("  ")}
    assert rows["iothread-vq-mapping"] == "virtio-blk-pci, virtio-scsi-pci (virtio-scsi: merged dialect)"
    assert rows["accelerators"] == "kvm, qtest, tcg"
    assert rows["machine types"] == "pc, q35, and 1 of certain releases"
    assert rows["trace backends"] == "log"


def test_an_option_says_whose_it_is_and_what_qemu_refused() -> None:
    """An option with a refusal behind it must not read as one that is there."""
    tried = {"aio=threads": "", "aio=native": "not in this build", "host-nodes": ""}
    text = text_from_capabilities(
        replace(CAPABILITIES, tried=tried, machine_types=("pc", "pc-q35-4.0.1", "pc-i440fx-2.1"))
    )
    assert "aio=threads, not aio=native (not in this build), host-nodes of a memory backend\n" in text
    assert "pc, and 2 of certain releases\n" in text


def test_two_binaries_are_compared_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """The first is the baseline."""
    assert run(["capabilities", "--qemu", "old", "--candidate", "new"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "the candidate adds iothread-vq-mapping to virtio-scsi-pci" in out
    assert "iothread-vq-mapping  none" in out


def test_without_a_binary_the_arms_are_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Built, or found in the cache."""
    assert run(["capabilities", "--series", "my.mbox", "--json"]) == ExitCode.DONE
    shown = json.loads(capsys.readouterr().out)
    assert [binary["name"] for binary in shown["binaries"]] == ["baseline", "candidate"]
    assert shown["binaries"][1]["scsi_dialect"] == "merged" and len(shown["differences"]) == 2


def test_equal_binaries_are_said_to_be_equal(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than nothing at all."""
    assert run(["capabilities", "--qemu", "new", "--candidate", "newer"]) == ExitCode.DONE
    assert capsys.readouterr().out.rstrip().endswith("both can do the same")


def test_long_rows_are_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--json has the rest."""
    monkeypatch.setattr(module, "_NAMES_SHOWN", 2)
    assert run(["capabilities", "--qemu", "new"]) == ExitCode.DONE
    assert "kvm, qtest and 1 more, listed by --json" in capsys.readouterr().out
