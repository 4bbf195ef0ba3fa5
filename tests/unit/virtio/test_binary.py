from pathlib import Path

import pytest

from lab.errors import InputError
from lab.virtio.binary import require_qemu


def program(path: Path, text: str, mode: int = 0o700) -> Path:
    """Write a file."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_qemu_is_one_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is absolute afterwards."""
    program(tmp_path / "qemu", "#!/bin/sh\necho QEMU emulator version 10.0.13\n")
    monkeypatch.chdir(tmp_path)
    assert require_qemu(Path("qemu")) == tmp_path / "qemu"


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("#!/bin/sh\n", 0o600, "cannot be executed"),
        ("#!/bin/sh\ntrue\n", 0o700, "does not answer --version"),
        ("no program", 0o700, "is not a QEMU"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, mode: int, why: str) -> None:
    """With a sentence, before anything is begun."""
    with pytest.raises(InputError, match=why):
        require_qemu(program(tmp_path / "other", text, mode))
