from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from lab.deadline import Deadline
from lab.errors import BootError, ExitCode, HostError
from lab.host import accelerator
from lab.host.accelerator import (
    argv_from_subject,
    probe_accelerator,
    probe_subject,
    try_boot,
    try_qtest,
)
from lab.host.accelerator_choice import AcceleratorChoice, Attempt, Subject, Tier, last_subject
from lab.host.facts import HostFacts, fingerprint, host_facts
from lab.machine.spec import TCG_CPU_MODEL
from lab.testing import FakeClock, RecordingProgress
from tests.unit.host.probes import KVM, NO_KVM, NO_TCG, QTEST, TCG, subject
from tests.unit.host.trees import bare_metal

# A QEMU that only writes its console, and stays.
CONSOLE = """#!/bin/sh
for word; do case $word in file,id=console0,path=*) console=${word#*path=};; esac; done
"""


class Host:
    """A host whose answers are told beforehand, and which remembers what it was asked."""

    def __init__(self, root: Path, *, kvm: Attempt = KVM, tcg: Attempt = TCG) -> None:
        self.facts: HostFacts = host_facts(bare_metal(root))
        self.device = root / "kvm"
        self.device.touch()
        self.now_s = 1000.0
        self.asked: list[Tier] = []
        self._answers = {Tier.KVM: kvm, Tier.TCG: tcg}

    def boot(self, tier: Tier, _subject: Subject, folder: Path) -> Attempt:
        """Answer from what was told."""
        assert folder.is_dir()
        self.asked.append(tier)
        return self._answers[tier]

    def qtest(self, _qemu: Path) -> Attempt:
        """Answer that qtest works."""
        self.asked.append(Tier.QTEST)
        return QTEST

    def probe(self, what: Subject, *, force: bool = False) -> AcceleratorChoice:
        """Ask the question on this host."""
        return probe_subject(
            what,
            progress=RecordingProgress(),
            force=force,
            facts=self.facts,
            kvm_device=self.device,
            boot=self.boot,
            qtest=self.qtest,
            now_s=lambda: self.now_s,
        )


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def test_kvm_is_taken_where_it_boots(tmp_path: Path) -> None:
    """All tiers are tried, and the best one that boots a guest is chosen."""
    host = Host(tmp_path)
    choice = host.probe(subject(tmp_path))
    assert (choice.accelerator, choice.reason) == ("kvm", "KVM booted the guest kernel in 0.5 s")
    assert choice.tiers == (Tier.QTEST, Tier.TCG, Tier.KVM)
    assert host.asked == [Tier.KVM, Tier.TCG, Tier.QTEST]


def test_tcg_is_taken_where_kvm_only_opens(tmp_path: Path) -> None:
    """A device that opens proves nothing; the reason says what was seen."""
    choice = Host(tmp_path, kvm=NO_KVM).probe(subject(tmp_path))
    assert choice.accelerator == "tcg"
    assert choice.reason == "KVM does not work here: no output; TCG booted the guest kernel in 2.0 s"
    assert choice.tiers == (Tier.QTEST, Tier.TCG)


def test_kvm_is_enough_where_tcg_fails(tmp_path: Path) -> None:
    """A host whose TCG does not boot still measures with KVM."""
    choice = Host(tmp_path, tcg=NO_TCG).probe(subject(tmp_path))
    assert choice.accelerator == "kvm" and Tier.TCG not in choice.tiers


def test_without_the_device_kvm_is_not_tried(tmp_path: Path) -> None:
    """A missing device is an answer of its own."""
    host = Host(tmp_path)
    host.device.unlink()
    choice = host.probe(subject(tmp_path))
    assert "kvm does not exist" in choice.reason and Tier.KVM not in host.asked


def test_a_device_of_others_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that this user may not open is a matter of permission, and the reason says so."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "kvm may not be opened by this user" in Host(tmp_path).probe(subject(tmp_path)).reason


def test_nothing_that_boots_is_an_error(tmp_path: Path) -> None:
    """The error says what was seen of each, where the evidence is, and is not remembered."""
    host = Host(tmp_path, kvm=NO_KVM, tcg=NO_TCG)
    for _ in range(2):
        with pytest.raises(HostError, match=r"KVM: no output\. TCG: QEMU ended by itself") as caught:
            host.probe(subject(tmp_path))
        assert caught.value.evidence is not None and str(caught.value.evidence) in caught.value.remedy
    assert host.asked.count(Tier.TCG) == 2


def test_the_answer_is_remembered(tmp_path: Path) -> None:
    """The same question is not asked twice, unless that is wanted."""
    host = Host(tmp_path)
    what = subject(tmp_path)
    first = host.probe(what)
    assert host.probe(what) == first and len(host.asked) == 3
    assert host.probe(what, force=True) == first and len(host.asked) == 6


def test_a_damaged_answer_is_asked_again(tmp_path: Path) -> None:
    """A file that is not an answer does not matter."""
    host = Host(tmp_path)
    host.probe(subject(tmp_path))
    for answer in (tmp_path / "cache" / "probes").glob("*/answer.json"):
        answer.write_text("{}")
    host.probe(subject(tmp_path))
    assert len(host.asked) == 6


def test_a_failure_of_kvm_is_asked_again_after_a_day(tmp_path: Path) -> None:
    """The host may have been busy."""
    host = Host(tmp_path, kvm=NO_KVM)
    host.probe(subject(tmp_path))
    host.now_s += 86399
    host.probe(subject(tmp_path))
    assert len(host.asked) == 3
    host.now_s += 1
    host.probe(subject(tmp_path))
    assert len(host.asked) == 6


def _another_binary(what: Subject, _host: Host) -> Subject:
    what.qemu.write_text("other")
    return what


def _another_kernel(what: Subject, host: Host) -> Subject:
    host.facts = replace(host.facts, kernel_release="6.12")
    return what


def _no_device(what: Subject, host: Host) -> Subject:
    host.device.unlink()
    return what


@pytest.mark.parametrize(
    "change",
    [
        _another_binary,
        _another_kernel,
        _no_device,
        lambda what, _: replace(what, key="other"),
        lambda what, _: replace(what, cmdline="other"),
        lambda what, _: replace(what, firmware=()),
    ],
)
def test_another_question_has_its_own_answer(tmp_path: Path, change: Callable[[Subject, Host], Subject]) -> None:
    """Binary, image, firmware, host kernel and whether the device opens make the question."""
    host = Host(tmp_path)
    what = subject(tmp_path)
    host.probe(what)
    before = len(host.asked)
    host.probe(change(what, host))
    assert len(host.asked) > before


def test_what_was_booted_can_be_found_again(tmp_path: Path) -> None:
    """The doctor finds the subject of the last answer on this host."""
    host = Host(tmp_path)
    host.probe(subject(tmp_path))
    assert last_subject(fingerprint(host.facts)) == subject(tmp_path)


def test_a_binary_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """The error names the file."""
    what = subject(tmp_path)
    what.qemu.unlink()
    with pytest.raises(HostError, match=r"qemu cannot be read: No such file") as caught:
        Host(tmp_path).probe(what)
    assert caught.value.exit_code is ExitCode.HOST


def test_two_labs_do_not_ask_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts write to the same files, so the second lab waits, but not for ever."""
    host = Host(tmp_path)
    host.probe(subject(tmp_path))
    folder = next((tmp_path / "cache" / "probes").iterdir())
    with FileLock(folder / "lock"):
        monkeypatch.setattr(accelerator, "_LOCK_TIMEOUT_S", 0.0)
        with pytest.raises(HostError, match="another lab has been trying"):
            host.probe(subject(tmp_path))


def test_an_image_is_probed_with_the_defaults_of_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary, its firmware and an image make the subject."""
    seen = []

    def asked(what: Subject, **options: object) -> str:
        seen.append((what, options))
        return "answer"

    monkeypatch.setattr(accelerator, "probe_subject", asked)
    what = subject(tmp_path)
    progress = RecordingProgress()
    answer: object = probe_accelerator(what.qemu, list(what.firmware), what, progress=progress)
    assert answer == "answer"
    assert seen == [(what, {"progress": progress})]


def test_the_argv_proves_the_tier_and_nothing_else(tmp_path: Path) -> None:
    """Direct kernel boot, the console to a file, an end instead of a reboot, no devices."""
    what = subject(tmp_path)
    words = argv_from_subject(Tier.KVM, what, tmp_path / "a,b.log")
    text = " ".join(words)
    assert words[0] == str(what.qemu)
    assert f"-L {tmp_path}/firmware -machine q35 -accel kvm -cpu host -smp 2" in text
    assert f"-kernel {what.kernel} -initrd {what.initrd} -append console=ttyS0 panic=-1 quiet" in text
    assert "-no-reboot" in words and "-nodefaults" in words
    assert f"file,id=console0,path={tmp_path}/a,,b.log" in words
    assert f"-accel tcg -cpu {TCG_CPU_MODEL} " in " ".join(argv_from_subject(Tier.TCG, what, tmp_path / "log"))


def test_a_guest_that_says_its_first_line_works(tmp_path: Path) -> None:
    """The first line of the init is the proof, and QEMU is gone afterwards."""
    what = subject(tmp_path, program=CONSOLE + 'echo $$ >"$0.pid"; echo "lab: init" >$console; exec sleep 60\n')
    attempt = try_boot(Tier.TCG, what, tmp_path)
    assert attempt.works and attempt.detail.startswith("booted the guest kernel in ")
    assert (tmp_path / "console-tcg.log").read_text() == "lab: init\n"
    assert not psutil.pid_exists(int((tmp_path / "qemu.pid").read_text()))


def test_a_qemu_that_ends_is_quoted(tmp_path: Path) -> None:
    """The exit status and the last line that QEMU said are the reason, without waiting for the deadline."""
    what = subject(tmp_path, program='#!/bin/sh\necho first; echo "kvm: failed to set MSR" >&2; exit 134\n')
    attempt = try_boot(Tier.KVM, what, tmp_path)
    assert not attempt.works
    assert attempt.detail == "QEMU ended by itself with exit status 134: kvm: failed to set MSR"


def test_a_qemu_that_aborts_is_quoted_with_its_signal(tmp_path: Path) -> None:
    """An abort is named as people know it."""
    what = subject(tmp_path, program='#!/bin/sh\necho "failed to set MSR 0x48f" >&2; kill -ABRT $$\n')
    assert try_boot(Tier.KVM, what, tmp_path).detail == (
        "QEMU ended by itself with signal SIGABRT: failed to set MSR 0x48f"
    )


def test_a_kernel_that_panics_is_quoted(tmp_path: Path) -> None:
    """Where QEMU said nothing, the last line of the console is the reason, however long it is."""
    what = subject(tmp_path, program=CONSOLE + f'echo "Kernel panic {"x" * 500}" >$console\n')
    attempt = try_boot(Tier.TCG, what, tmp_path)
    assert attempt.detail.startswith("QEMU ended by itself with exit status 0: Kernel panic xxx")
    assert len(attempt.detail) < 300


def test_a_qemu_that_says_nothing_at_all_is_told(tmp_path: Path) -> None:
    """An end without a word is described as one."""
    attempt = try_boot(Tier.TCG, subject(tmp_path, program="#!/bin/sh\n"), tmp_path)
    assert attempt.detail == "QEMU ended by itself with exit status 0: it printed nothing"


def test_a_guest_that_never_prints_is_ended(tmp_path: Path) -> None:
    """This is what KVM does on some hosts: a deadline and no output."""
    what = subject(tmp_path, program="#!/bin/sh\nexec sleep 60\n")
    attempt = try_boot(Tier.KVM, what, tmp_path, deadline=FakeClock().deadline(10))
    assert not attempt.works
    assert attempt.detail == "the guest's init did not start within 10 s (no output)"
    assert attempt.seconds >= 10


def test_a_guest_that_crawls_is_ended_with_its_last_line(tmp_path: Path) -> None:
    """A kernel that prints and never gets to its init is told apart from silence."""
    what = subject(tmp_path, program=CONSOLE + 'printf "Decompressing Linux...\\n" >$console; exec sleep 60\n')
    clock = FakeClock()
    console = tmp_path / "console-kvm.log"

    def sleep(seconds: float) -> None:
        """Let time pass only when the console has been written."""
        if console.exists() and console.read_text().endswith("\n"):
            clock.advance(seconds)

    attempt = try_boot(Tier.KVM, what, tmp_path, deadline=Deadline(10, clock=clock.now, sleep=sleep))
    assert attempt.detail.endswith("(its last line was 'Decompressing Linux...')")


def test_an_old_console_is_not_believed(tmp_path: Path) -> None:
    """What an earlier attempt left behind is removed first."""
    (tmp_path / "console-tcg.log").write_text("lab: init\n")
    assert not try_boot(Tier.TCG, subject(tmp_path, program="#!/bin/sh\n"), tmp_path).works


def test_a_program_that_cannot_be_started_is_no_accelerator(tmp_path: Path) -> None:
    """A file that is no program ends like a QEMU that ends."""
    attempt = try_boot(Tier.TCG, replace(subject(tmp_path), qemu=tmp_path / "none"), tmp_path)
    assert not attempt.works and "exit status 127" in attempt.detail and "none" in attempt.detail


def test_a_process_that_cannot_be_made_is_no_accelerator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has no room for a process is an answer too."""

    def refuse(*_words: object, **_options: object) -> None:
        raise BootError("QEMU could not be started: Resource temporarily unavailable")

    monkeypatch.setattr(accelerator, "QemuProcess", refuse)
    attempt = try_boot(Tier.TCG, subject(tmp_path), tmp_path)
    assert (attempt.works, attempt.detail) == (False, "QEMU could not be started: Resource temporarily unavailable")


def test_without_setpriv_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is at fault, not the accelerator."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="setpriv"):
        try_boot(Tier.TCG, subject(tmp_path), tmp_path)
    assert not try_qtest(tmp_path / "qemu").works


def test_qtest_is_proved_by_starting_it(tmp_path: Path) -> None:
    """A QEMU that accepts the accelerator and quits when told has it."""
    what = subject(
        tmp_path, program='#!/bin/sh\nread word; case "$word $*" in "quit "*"-accel qtest"*) exit 0;; esac; exit 1\n'
    )
    attempt = try_qtest(what.qemu)
    assert (attempt.works, attempt.detail) == (True, "started a machine")


def test_a_qemu_without_qtest_is_quoted(tmp_path: Path) -> None:
    """The last line of a packaged binary says why, and an end without a word has its status."""
    said = subject(tmp_path, program='#!/bin/sh\necho "qemu: -accel qtest: invalid accelerator qtest" >&2; exit 1\n')
    assert try_qtest(said.qemu).detail == "qemu: -accel qtest: invalid accelerator qtest"
    silent = subject(tmp_path, program="#!/bin/sh\nexit 7\n")
    attempt = try_qtest(silent.qemu)
    assert (attempt.works, attempt.detail) == (False, "exit status 7")
