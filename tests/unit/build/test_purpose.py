from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from lab.build.purpose import Purpose, Role, forget_purposes, purposes_of, remember_purpose

BASE = Purpose(Role.BASELINE)
THIRD = Purpose(Role.PATCH, "virtio-scsi: faster", 3)
WHOLE = Purpose(Role.CANDIDATE, "virtio-scsi: faster", 4)


def test_what_a_build_was_for_is_remembered_the_latest_first() -> None:
    """Each once."""
    for purpose in (BASE, THIRD, BASE, WHOLE, WHOLE):
        remember_purpose("k", purpose)
    assert purposes_of("k") == (WHOLE, BASE, THIRD)


def test_only_the_latest_are_kept() -> None:
    """A baseline serves every series of its base."""
    for number in range(20):
        remember_purpose("k", Purpose(Role.CANDIDATE, f"series {number}", 1))
    assert [purpose.series for purpose in purposes_of("k")] == [f"series {number}" for number in range(19, 11, -1)]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"role": "x", "series": "", "patch": 0}]', "{}", "[" * 100_000])
def test_a_damaged_note_costs_nothing(cache: Path, text: str) -> None:
    """It is for people."""
    remember_purpose("k", BASE)
    (cache / "builds" / ".purposes" / "k.json").write_text(text)
    assert purposes_of("k") == ()
    remember_purpose("k", THIRD)
    assert purposes_of("k") == (THIRD,)


def test_a_disk_that_is_full_fails_no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build is there; only the note is not."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    remember_purpose("k", BASE)
    assert purposes_of("k") == ()


def test_notes_of_builds_that_are_gone_go_after_an_hour(cache: Path) -> None:
    """Not before: a build that is being stored may have its note already."""
    remember_purpose("gone", BASE)
    remember_purpose("there", BASE)
    now = (cache / "builds" / ".purposes" / "gone.json").stat().st_mtime
    forget_purposes(lambda key: key == "there", now=lambda: now + 60)
    assert purposes_of("gone") == (BASE,)
    forget_purposes(lambda key: key == "there", now=lambda: now + 3700)
    assert purposes_of("gone") == () and purposes_of("there") == (BASE,)


def test_a_purpose_is_said_in_words(cache: Path) -> None:
    """As ``lab build --list`` shows it."""
    assert [one.text for one in (BASE, THIRD, WHOLE)] == [
        "baseline",
        "patch 3 of 'virtio-scsi: faster'",
        "candidate of 'virtio-scsi: faster'",
    ]
    remember_purpose("k", THIRD)
    stored = json.loads((cache / "builds" / ".purposes" / "k.json").read_text())
    assert stored == [{"role": "patch", "series": "virtio-scsi: faster", "patch": 3}]
