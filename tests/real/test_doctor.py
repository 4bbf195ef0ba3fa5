"""What the doctor finds on the very host that runs the tests, with a QEMU and a guest image that really boot."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lab.__main__ import run
from lab.build.build import Build
from lab.host.accelerator import try_boot
from lab.host.accelerator_choice import AcceleratorChoice, Subject, Tier
from lab.image.guest_image import GuestImage


def test_the_doctor_reports_what_really_boots(
    accelerator: AcceleratorChoice, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a guest has been booted, the doctor names the accelerator that did it, and TCG and qtest always work."""
    assert run(["doctor", "--json", "--quiet"]) == 0
    found = json.loads(capfd.readouterr().out)
    without_seconds = accelerator.reason.rpartition(" in ")[0]  # somebody may have had it probed again meanwhile
    assert found["accelerator"] == accelerator.accelerator and found["reason"].startswith(without_seconds)
    assert {"qtest", "tcg"} <= set(found["tiers"])
    assert ("kvm" in found["tiers"]) is (accelerator.accelerator == "kvm")
    assert all(one["ok"] or one["remedy"] for one in found["findings"])


def test_kvm_is_never_assumed(accelerator: AcceleratorChoice) -> None:
    """Whatever /dev/kvm looks like here, KVM counts only if it booted, and otherwise there is a reason."""
    kvm = next(attempt for attempt in accelerator.tried if attempt.tier is Tier.KVM)
    assert kvm.works is (accelerator.accelerator == "kvm")
    assert kvm.works or kvm.detail in accelerator.reason
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        assert kvm.seconds > 0, "a device that opens is tried, neither believed nor disbelieved"


def test_a_guest_without_an_init_is_no_proof(qemu_binary: Build, guest_image: GuestImage, tmp_path: Path) -> None:
    """A kernel that runs and panics proves nothing: the panic is the reason, at once, and no QEMU stays behind."""
    empty = tmp_path / "initrd"
    empty.write_bytes(b"not an archive")
    image = replace(guest_image, initrd=empty)
    subject = Subject(qemu_binary.qemu, qemu_binary.firmware, "no-init", image.kernel, image.initrd, image.cmdline)
    attempt = try_boot(Tier.TCG, subject, tmp_path)
    assert not attempt.works and attempt.seconds < 30
    assert "QEMU ended by itself with exit status 0" in attempt.detail
    assert "Kernel panic" in (tmp_path / "console-tcg.log").read_text(errors="replace")
    assert not [child for child in psutil.Process().children(recursive=True) if "qemu" in child.name()]
