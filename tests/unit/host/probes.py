"""Subjects and answers of the accelerator probe, for tests."""

from __future__ import annotations

from pathlib import Path

from lab.host.accelerator_choice import AcceleratorChoice, Attempt, StoredChoice, Subject, Tier

QTEST = Attempt(Tier.QTEST, works=True, detail="started a machine", seconds=0.1)
TCG = Attempt(Tier.TCG, works=True, detail="booted the guest kernel in 2.0 s", seconds=2.0)
KVM = Attempt(Tier.KVM, works=True, detail="booted the guest kernel in 0.5 s", seconds=0.5)
NO_KVM = Attempt(Tier.KVM, works=False, detail="no output", seconds=10.0)
NO_TCG = Attempt(Tier.TCG, works=False, detail="QEMU ended by itself", seconds=0.1)

ON_KVM = AcceleratorChoice("kvm", "KVM booted", (QTEST, TCG, KVM))
ON_TCG = AcceleratorChoice("tcg", "KVM does not work here: no output; TCG booted", (QTEST, TCG, NO_KVM))


def subject(folder: Path, *, program: str = "QEMU") -> Subject:
    """Write the files of a subject and return it.

    :param program: what the file of the binary holds.
    """
    files = {name: folder / name for name in ("qemu", "vmlinux", "initrd")}
    for name, path in files.items():
        path.write_text(program if name == "qemu" else name)
    files["qemu"].chmod(0o755)
    return Subject(files["qemu"], (folder / "firmware",), "image-key", files["vmlinux"], files["initrd"], "quiet")


def stored(choice: AcceleratorChoice, what: Subject, *, host: str = "host", asked_at_s: float = 0.0) -> StoredChoice:
    """Return an answer as the cache has it, KVM's device being open."""
    return StoredChoice(host=host, asked_at_s=asked_at_s, kvm_opens=True, subject=what, choice=choice)
