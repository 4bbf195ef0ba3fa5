"""A host that is tuned while a run is under way, and how its settings are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import ExitCode, HostError
from lab.host.tuning import propose, tune
from lab.host.tuning_journal import JournalFile
from lab.host.tuning_session import Settings, put_back_leftovers, read_settings, require_root, tuned
from tests.unit.host.tuning_tree import THP, KernelTree, KilledError, snapshot, write_tree

AT = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree of settings."""
    return write_tree(tmp_path)


def _thp(root: Path) -> str:
    return KernelTree(root).read(THP)


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_the_host_is_tuned_meanwhile_and_put_back_however_it_ends(
    root: Path, error: type[BaseException] | None
) -> None:
    """A run that fails or is interrupted leaves what a run that ends leaves: nothing."""
    before = snapshot(root)
    controls, file = KernelTree(root), JournalFile(root)

    def run() -> None:
        with tuned(controls, file, propose(controls).entries, at=AT) as refused:
            assert refused == () and _thp(root) == "never"
            journal = file.load()
            assert journal is not None and journal.for_run and journal.at == AT
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(error):
            run()
    assert snapshot(root) == before and file.load() is None


def test_a_host_that_is_tuned_already_is_not_tuned_for_a_run(root: Path) -> None:
    """Its journal knows what to put back; a second one would put back what the first made of it."""
    file = JournalFile(root)
    tune(KernelTree(root), file, propose(KernelTree(root), ["thp"]).entries, at=AT)
    with pytest.raises(HostError, match="was tuned at 2026-01-02"):  # noqa: SIM117
        with tuned(KernelTree(root), file, propose(KernelTree(root)).entries, at=AT):
            raise AssertionError("tuned twice")
    assert file.load() is not None


def test_what_a_killed_run_left_is_put_back_by_the_next(root: Path) -> None:
    """kill -9 runs no clean-up; the journal is still there."""
    before, killed = snapshot(root), KernelTree(root, die_at=2, die_late=True)
    with pytest.raises(KilledError):  # noqa: SIM117
        with tuned(killed, JournalFile(root), propose(KernelTree(root)).entries, at=AT):
            raise AssertionError("alive")
    assert snapshot(root) != before
    assert put_back_leftovers(KernelTree(root), JournalFile(root))
    assert snapshot(root) == before and JournalFile(root).load() is None


def test_what_was_tuned_by_hand_stays(root: Path) -> None:
    """Who called 'lab host tune' wants it for all runs, until 'lab host restore'."""
    tune(KernelTree(root), JournalFile(root), propose(KernelTree(root), ["thp"]).entries, at=AT)
    assert put_back_leftovers(KernelTree(root), JournalFile(root)) == ()
    assert _thp(root) == "never"


def test_a_host_that_nobody_tuned_has_no_leftovers(root: Path) -> None:
    """Nothing is written."""
    assert put_back_leftovers(KernelTree(root, refuse_after=0), JournalFile(root)) == ()


def test_settings_are_told(root: Path) -> None:
    """Which knobs there are, how they are set, and which are not as the profile has them."""
    settings = read_settings(KernelTree(root), JournalFile(root))
    assert settings.knobs["thp"] == "madvise" and settings.knobs["irqbalance"] is None
    assert {"thp=madvise", "turbo=on", "nmi-watchdog=on"} <= set(settings.not_tuned)
    assert settings.sentence().startswith("the host is not tuned: governor=") and "thp=madvise" in settings.sentence()
    assert settings.to_json()["knobs"]["thp"] == "madvise" and settings.to_json()["tuned_at"] is None


def test_settings_of_a_tuned_host_are_told(root: Path) -> None:
    """When it was tuned, and what the kernel refused or nobody asked for."""
    controls, file = KernelTree(root), JournalFile(root)
    tune(controls, file, propose(controls, ["thp"]).entries, at=AT)
    settings = read_settings(controls, file, propose(controls, ["turbo"]).entries)
    assert settings.tuned_at == AT and "thp=never" not in settings.not_tuned
    assert settings.sentence().startswith(f"the host was tuned by the lab at {AT}; not tuned: governor=")
    assert settings.to_json()["refused"] == ["sys/devices/system/cpu/intel_pstate/no_turbo"]


def test_a_host_that_is_as_wanted_has_a_short_sentence() -> None:
    """Nothing is missing, whoever did it."""
    assert Settings({"thp": "never"}, ()).sentence() == "the host's settings are those of the profile bench"
    assert Settings({"thp": "never"}, (), tuned_at=AT).sentence() == f"the host was tuned by the lab at {AT}"


def test_a_journal_that_cannot_be_read_hides_no_settings(root: Path) -> None:
    """The knobs say how the host is set; the journal would only say since when."""
    file = JournalFile(root)
    file.path.parent.mkdir(parents=True)
    file.path.write_text("torn")
    assert read_settings(KernelTree(root), file).tuned_at is None


def test_only_root_tunes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody else is told before anything is done."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError, match="only root may tune the host") as caught:
        require_root("tune the host")
    assert caught.value.exit_code is ExitCode.HOST and "sudo" in caught.value.remedy
    monkeypatch.setattr("os.geteuid", lambda: 0)
    require_root("tune the host")
