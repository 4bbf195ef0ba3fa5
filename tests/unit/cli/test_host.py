"""``lab host``, against a folder that looks like a host."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from lab.cli import host as cli
from lab.errors import ExitCode, HostError, InputError
from lab.host.tuning import propose, tune
from lab.host.tuning_journal import JOURNAL, JournalFile
from tests.unit.host.trees import bare_metal
from tests.unit.host.tuning_tree import THP, KernelTree, write_tree


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a host with CPUs and settings, on which we are root and alone."""
    held: list[str] = []

    @contextmanager
    def lock(purpose: str) -> Iterator[None]:
        assert not held, "two locks at once"
        held.append(purpose)
        try:
            yield
        finally:
            held.clear()

    monkeypatch.setattr(cli, "HostControls", KernelTree)
    monkeypatch.setattr(cli, "host_lock", lock)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    disk = tmp_path / "sys/devices/pci0000:00/0000:00:02.0"
    (disk / "sda").mkdir(parents=True)
    (disk / "msi_irqs").mkdir()
    (disk / "msi_irqs/40").touch()
    (tmp_path / "sys/class/block").mkdir(parents=True)
    (tmp_path / "sys/class/block/sda").symlink_to(disk / "sda")
    return write_tree(bare_metal(tmp_path))


def _lab(root: Path, *words: str) -> int:
    """Call ``lab host`` as the entry point does."""
    with cli.host.make_context("host", ["--root", str(root), *words]) as context:
        result = cli.host.invoke(context)
    assert isinstance(result, int)
    return result


def _json(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert _lab(root, *words, "--json") == ExitCode.DONE
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_show_names_cpus_and_knobs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page has the CPUs, each knob with its value, and whether the lab tuned this host."""
    assert _lab(root, "show") == ExitCode.DONE
    said = capsys.readouterr().out
    assert "CPUs: 0-7; isolated: none" in said and "cores: 4; NUMA nodes: 2 (number 0-1)" in said
    assert "thp           madvise      never        always, madvise, never" in said
    assert "irqbalance    -            off          not here: it is not installed" in said
    assert said.rstrip().endswith("not tuned by the lab")


def test_show_does_not_guess_nodes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kernel without NUMA shows none, which is neither no node nor node 0."""
    for node in (root / "sys/devices/system/node").glob("node*"):
        shutil.rmtree(node)
    _lab(root, "show")
    assert "NUMA nodes: unknown, this kernel shows none" in capsys.readouterr().out
    assert _json(root, capsys, "show")["topology"]["numa_nodes"] is None


def test_show_tells_a_run_s_tuning_from_one_by_hand(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first goes by itself."""
    controls = KernelTree(root)
    tune(controls, JournalFile(root), propose(controls, ["thp"]).entries, at="today", for_run=True)
    _lab(root, "show")
    assert "tuned for a run at today, which puts it back" in capsys.readouterr().out


def test_tuning_by_hand_puts_back_what_a_killed_run_left(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise the run's values would be taken for those to come back to."""
    controls = KernelTree(root)
    tune(controls, JournalFile(root), propose(controls, ["thp=always"]).entries, at="today", for_run=True)
    _lab(root, "tune", "--only", "thp")
    assert "changed" in capsys.readouterr().out
    _lab(root, "restore")
    assert (root / THP).read_text() == "always [madvise] never\n"


def test_show_names_withheld_cpus(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CPUs that this process may not use are not silently missing."""
    (root / "proc/self/status").write_text("Cpus_allowed_list:\t0-5\n")
    _lab(root, "show")
    assert "online but not for this process: 6-7" in capsys.readouterr().out


def test_tune_and_restore_go_together(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was tuned is shown as tuned and comes back."""
    value = _json(root, capsys, "tune", "--only", "thp,cstates=shallow")
    assert value["changed"] is True and len(value["changes"]) == 5
    assert (root / THP).read_text() == "always madvise [never]\n"
    assert _json(root, capsys, "show")["tuned_at"]
    _lab(root, "show")
    assert "back again with: lab host restore" in capsys.readouterr().out
    assert len(_json(root, capsys, "restore")["restored"]) == 5
    assert (root / THP).read_text() == "always [madvise] never\n"
    assert _json(root, capsys, "show")["tuned_at"] is None


def test_texts_say_what_was_done(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People get a line per setting, and what the host lacks on stderr."""
    assert _lab(root, "tune") == ExitCode.DONE
    said = capsys.readouterr()
    assert f"changed /{THP}: 'madvise' to 'never'" in said.out and "back again with: lab host restore" in said.out
    assert "skipped irqbalance" in said.err
    assert _lab(root, "restore") == ExitCode.DONE
    assert f"/{THP}: 'never' back to 'madvise'" in capsys.readouterr().out
    assert _lab(root, "restore") == ExitCode.DONE
    assert "nothing to put back" in capsys.readouterr().out
    assert _lab(root, "tune", "--only", "thp=madvise") == ExitCode.DONE
    assert "nothing to change" in capsys.readouterr().out


def test_dry_run_changes_nothing_and_needs_no_rights(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anybody may ask what would change."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert _json(root, capsys, "tune", "--dry-run")["changed"] is False
    assert not (root / JOURNAL).exists() and (root / THP).read_text() == "always [madvise] never\n"


@pytest.mark.parametrize("verb", ["tune", "restore"])
def test_changing_a_host_takes_root(root: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """Without rights nothing is tried, and the message says how to get them."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError, match="only root may") as caught:
        _lab(root, verb)
    assert caught.value.exit_code is ExitCode.HOST and "sudo" in caught.value.remedy


def test_journal_that_cannot_be_read_can_be_forgotten(root: Path) -> None:
    """A damaged journal blocks everything until somebody takes responsibility."""
    (root / JOURNAL).parent.mkdir(parents=True)
    (root / JOURNAL).write_text("{")
    with pytest.raises(HostError, match="cannot be read"):
        _lab(root, "restore")
    assert _lab(root, "restore", "--forget") == ExitCode.DONE
    assert not (root / JOURNAL).exists()


def test_interrupts_of_a_disk_are_moved(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The interrupts of a disk are settings like the others."""
    value = _json(root, capsys, "tune", "--only", "thp=madvise", "--irqs", "sda", "--irq-cpus", "0,1")
    assert [(one["target"], one["after"]) for one in value["changes"]] == [("proc/irq/40/smp_affinity_list", "0-1")]


def test_interrupts_that_cannot_be_moved_are_told(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel keeps the interrupts it manages where they are; the rest is tuned all the same."""

    class Managing(KernelTree):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            self.managed = frozenset({"proc/irq/40/smp_affinity_list"})

    monkeypatch.setattr(cli, "HostControls", Managing)
    assert _lab(root, "tune", "--only", "thp", "--irqs", "sda", "--irq-cpus", "0") == ExitCode.DONE
    said = capsys.readouterr()
    assert "left /proc/irq/40/smp_affinity_list" in said.err and "smp_affinity_list" not in said.out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["tune", "--only", ","], "--only names no knob"),
        (["tune", "--irqs", "sda"], "go together"),
        (["tune", "--irqs", "sda", "--irq-cpus", "x"], "no list of usable CPUs"),
        (["tune", "--irqs", "sda", "--irq-cpus", "64"], "no list of usable CPUs"),
        (["tune", "--irqs", "sda", "--irq-cpus", "0," * 200], "no list of usable CPUs"),
        (["plan", "--device", "sdz"], "no block device"),
    ],
)
def test_wrong_words_are_refused(root: Path, words: list[str], why: str) -> None:
    """What cannot be read is the caller's to correct."""
    with pytest.raises(InputError, match=why) as caught:
        _lab(root, *words)
    assert caught.value.remedy


def test_other_profiles_are_unknown(root: Path) -> None:
    """There is one profile."""
    with pytest.raises(click.BadParameter, match="bench"):
        _lab(root, "tune", "--profile", "fast")


def test_plan_is_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan is drawn for people and is JSON for scripts."""
    assert _lab(root, "plan", "--vcpus", "2", "--device", "sda") == ExitCode.DONE
    assert "vcpu0" in capsys.readouterr().out
    pins = ["--pin", "vcpu0=1", "--pin", "iothread0=1", "--pin", "main-loop=0", "--overlap"]
    assert _json(root, capsys, "plan", "--vcpus", "1", *pins)["sharing"] == "pins-overlap"
    with pytest.raises(HostError, match="10 threads want a CPU each, and 8"):
        _lab(root, "plan", "--vcpus", "8", "--strict")
