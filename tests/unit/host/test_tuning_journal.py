"""The journal of what was changed on a host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import HostError
from lab.host.tuning_journal import JOURNAL, Journal, JournalFile
from lab.host.tuning_knobs import Entry

THP = "sys/kernel/mm/transparent_hugepage/enabled"
JOURNAL_OF_ONE = Journal("boot-1", "2026-01-02T03:04:05+00:00", (Entry("thp", THP, "madvise", "never"),))


def test_journal_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is saved is loaded, what is removed is gone, and removing nothing does no harm."""
    file = JournalFile(tmp_path)
    assert file.load() is None
    file.remove()
    file.save(JOURNAL_OF_ONE)
    assert file.load() == JOURNAL_OF_ONE
    file.remove()
    assert file.load() is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"entries": [{"knob": "thp", "target": "etc/passwd", "before": "x", "after": "y"}]},
        {"entries": [{"knob": "thp", "target": THP}]},
        {"boot_id": None, "entries": None},
    ],
    ids=["newer", "foreign file", "incomplete", "no entries"],
)
def test_journal_of_somebody_else_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Root writes what a journal says, so it says only what the lab would have said."""
    file = JournalFile(tmp_path)
    file.save(JOURNAL_OF_ONE)
    value = json.loads(file.path.read_text()) | change
    file.path.write_text(json.dumps(value))
    with pytest.raises(HostError, match="cannot be read") as caught:
        file.load()
    assert "--forget" in caught.value.remedy and caught.value.evidence == file.path


@pytest.mark.parametrize(("stored", "for_run"), [({"for_run": True}, True), ({"for_run": "yes"}, False), ({}, False)])
def test_journal_says_whether_it_is_a_run_s(tmp_path: Path, stored: dict[str, Any], for_run: bool) -> None:
    """One that does not say so was made by hand, and is put back by hand."""
    file = JournalFile(tmp_path)
    file.save(JOURNAL_OF_ONE)
    value = json.loads(file.path.read_text())
    del value["for_run"]
    file.path.write_text(json.dumps(value | stored))
    assert file.load() == replace(JOURNAL_OF_ONE, for_run=for_run)


def test_torn_journal_is_refused(tmp_path: Path) -> None:
    """Half a file is no journal; it is not taken for an untuned host."""
    file = JournalFile(tmp_path)
    file.save(JOURNAL_OF_ONE)
    file.path.write_text(file.path.read_text()[:40])
    with pytest.raises(HostError, match="cannot be read"):
        file.load()


def test_journal_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """A disk that takes no journal is told before anything is changed."""
    (tmp_path / JOURNAL.parent.parent).mkdir(parents=True)
    (tmp_path / JOURNAL.parent).write_text("a file where the folder should be")
    with pytest.raises(HostError, match="nothing was changed"):
        JournalFile(tmp_path).save(JOURNAL_OF_ONE)


def test_journal_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    """A journal that stays would block the next tuning."""
    file = JournalFile(tmp_path)
    file.path.mkdir(parents=True)
    with pytest.raises(HostError, match="cannot be removed"):
        file.remove()
