"""A QEMU binary and a guest image to the accelerator that really works with them on this host.

/dev/kvm that opens proves nothing: hosts have been seen where KVM_CREATE_VM and a vCPU succeed and the guest then
never prints a character. What counts is the guest's init saying its first line within a deadline
(docs/decisions/0005-host-probes.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lab.command import run
from lab.deadline import Deadline
from lab.errors import DeadlineError, HostError, StageError
from lab.host.accelerator_choice import (
    AcceleratorChoice,
    Attempt,
    BootableImage,
    StoredChoice,
    Subject,
    Tier,
    read_choice,
    write_choice,
)
from lab.host.facts import HostFacts, fingerprint, host_facts
from lab.machine.process import QemuProcess
from lab.machine.spec import TCG_CPU_MODEL
from lab.progress import Progress
from lab.settings import cache_dir

FIRST_LINE = "lab: init"
"""What the guest image's init prints before anything else."""
_DEADLINE_S = {Tier.KVM: 10.0, Tier.TCG: 30.0}
_QTEST_TIMEOUT_S = 20.0
_LOCK_TIMEOUT_S = 120.0
_LAST_LINE_CHARS = 200

TryBoot = Callable[[Tier, Subject, Path], Attempt]
TryQtest = Callable[[Path], Attempt]


def probe_accelerator(
    qemu: Path,
    firmware: Sequence[Path],
    image: BootableImage,
    *,
    progress: Progress,
) -> AcceleratorChoice:
    """Find out which accelerator boots this image with this binary, or return the answer from the cache.

    KVM, TCG and the qtest accelerator are each tried. An answer counts for one kernel, CPU model, binary and image.

    :param firmware: folders with ROM images, for ``-L``.
    :raise HostError: neither KVM nor TCG boots the image, the binary cannot be read, there is no ``setpriv``, or
        another lab keeps asking the same question.
    """
    subject = Subject(qemu, tuple(firmware), image.key, image.kernel, image.initrd, image.cmdline)
    return probe_subject(subject, progress=progress)


def probe_subject(
    subject: Subject,
    *,
    progress: Progress,
    force: bool = False,
    facts: HostFacts | None = None,
    kvm_device: Path = Path("/dev/kvm"),
    boot: TryBoot | None = None,
    qtest: TryQtest | None = None,
    now_s: Callable[[], float] = time.time,
) -> AcceleratorChoice:
    """Do what :func:`probe_accelerator` does; what touches the host can be replaced.

    :raise HostError: likewise.
    """
    boot, qtest, facts = boot or try_boot, qtest or try_qtest, facts or host_facts()
    kvm_opens = os.access(kvm_device, os.R_OK | os.W_OK)
    folder = cache_dir("probes", _key(subject, facts, kvm_opens=kvm_opens))
    with _locked(folder):
        stored = None if force else read_choice(folder)
        if stored is not None and stored.is_believed(now_s()):
            return stored.choice
        with progress.stage("trying what boots a guest on this host") as stage:
            stage.update(0, note="KVM")
            kvm = boot(Tier.KVM, subject, folder) if kvm_opens else _without_kvm(kvm_device)
            stage.update(1, note="TCG")
            tcg = boot(Tier.TCG, subject, folder)
            stage.update(2, note="qtest")
            tried = (qtest(subject.qemu), tcg, kvm)
        choice = _choose(kvm, tcg, tried, folder)
        write_choice(
            folder,
            StoredChoice(
                host=fingerprint(facts), asked_at_s=now_s(), kvm_opens=kvm_opens, subject=subject, choice=choice
            ),
        )
    return choice


def argv_from_subject(tier: Tier, subject: Subject, console: Path) -> tuple[str, ...]:
    """Return the argv of the smallest machine that proves a tier.

    Two vCPUs: with one, KVM that loses wake-ups between vCPUs would pass. ``panic=-1`` with ``-no-reboot`` makes a
    kernel that panics end QEMU at once instead of at the deadline.
    """
    cpu = "host" if tier is Tier.KVM else TCG_CPU_MODEL
    words = [str(subject.qemu), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    for place in subject.firmware:
        words += ["-L", str(place)]
    words += ["-machine", "q35", "-accel", str(tier), "-cpu", cpu, "-smp", "2", "-m", "512M"]
    words += ["-kernel", str(subject.kernel), "-initrd", str(subject.initrd)]
    words += ["-append", f"console=ttyS0 panic=-1 {subject.cmdline}".strip()]
    escaped = str(console).replace(",", ",,")  # util/keyval.c
    return (*words, "-chardev", f"file,id=console0,path={escaped}", "-serial", "chardev:console0")


def try_boot(tier: Tier, subject: Subject, folder: Path, *, deadline: Deadline | None = None) -> Attempt:
    """Start QEMU and wait for the init's first line; QEMU is gone when this returns.

    :param folder: gets the console and QEMU's own output.
    :param deadline: by default 10 s for KVM, 30 s for TCG.
    :raise HostError: there is no ``setpriv``.
    """
    deadline = deadline or Deadline(_DEADLINE_S[tier])
    console, log = folder / f"console-{tier}.log", folder / f"qemu-{tier}.log"
    for left in (console, log):
        left.unlink(missing_ok=True)
    try:
        with QemuProcess(argv_from_subject(tier, subject, console), log=log) as process:

            def outcome() -> tuple[bool, str] | None:
                code = process.exit_code()  # asked first: what was printed before the end is then all there
                if FIRST_LINE in _text(console):
                    return True, f"booted the guest kernel in {deadline.elapsed_s():.1f} s"
                if code is not None:
                    return False, f"QEMU ended by itself with {_status(code)}: {_last_words(log, console)}"
                return None

            works, detail = deadline.wait_for("the guest's first line", outcome)
    except DeadlineError:
        seen = _last_line(_text(console))
        said = f"its last line was '{seen}'" if seen else "no output"
        works, detail = False, f"the guest's init did not start within {deadline.seconds:g} s ({said})"
    except StageError as err:
        works, detail = False, err.message
    return Attempt(tier, works, detail, round(deadline.elapsed_s(), 3))


def try_qtest(qemu: Path) -> Attempt:
    """Start a machine without a CPU: ``-accel help`` never lists qtest, and packaged binaries do not have it."""
    words = (str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-machine", "none", "-accel", "qtest")
    argv = ("setpriv", "--pdeathsig", "KILL", "--", *words, "-monitor", "stdio")
    watch = Deadline(_QTEST_TIMEOUT_S)
    try:
        said = run(argv, stdin=b"quit\n", timeout_s=watch.seconds, check=False)
    except StageError as err:
        works, detail = False, err.message
    else:
        works = said.returncode == 0
        detail = "started a machine" if works else _last_line(said.stderr) or f"exit status {said.returncode}"
    return Attempt(Tier.QTEST, works, detail, round(watch.elapsed_s(), 3))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one lab at a time ask a question: the attempts write to files of the folder."""
    try:
        with FileLock(folder / "lock", timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout as err:
        raise HostError(
            f"another lab has been trying the same binary and image for {_LOCK_TIMEOUT_S:g} s", remedy="call again"
        ) from err


def _without_kvm(device: Path) -> Attempt:
    why = f"{device} may not be opened by this user" if device.exists() else f"{device} does not exist"
    return Attempt(Tier.KVM, works=False, detail=why, seconds=0.0)


def _choose(kvm: Attempt, tcg: Attempt, tried: tuple[Attempt, ...], folder: Path) -> AcceleratorChoice:
    if kvm.works:
        return AcceleratorChoice("kvm", f"KVM {kvm.detail}", tried)
    if tcg.works:
        return AcceleratorChoice("tcg", f"KVM does not work here: {kvm.detail}; TCG {tcg.detail}", tried)
    raise HostError(
        f"no accelerator boots the guest image on this host. KVM: {kvm.detail}. TCG: {tcg.detail}",
        remedy=f"the consoles and QEMU's output are in {folder}; if the host was busy, call 'lab doctor --probe'",
        evidence=folder,
    )


def _key(subject: Subject, facts: HostFacts, *, kvm_opens: bool) -> str:
    """Return the name of the question."""
    try:
        with subject.qemu.open("rb") as binary:
            sha256 = hashlib.file_digest(binary, "sha256").hexdigest()
    except OSError as err:
        raise HostError(f"QEMU binary {subject.qemu} cannot be read: {err.strerror}", remedy="build it again") from err
    host = [facts.host_id, facts.kernel_release, facts.cpu_model, kvm_opens]
    what = [sha256, [str(place) for place in subject.firmware], subject.key, subject.cmdline]
    return hashlib.sha256(json.dumps([*host, *what]).encode()).hexdigest()[:16]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _status(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _last_words(log: Path, console: Path) -> str:
    """Return the last line QEMU said or, where it said nothing, the guest's."""
    return _last_line(_text(log)) or _last_line(_text(console)) or "it printed nothing"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip()[:_LAST_LINE_CHARS] if lines else ""
