from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lab.host import surroundings
from lab.host.requirements import OPTIONAL, REQUIREMENTS
from lab.host.surroundings import LabProcess, lab_processes, read_surroundings, used_mib


class Process:
    """A process of psutil's list.

    :param exe: path of its program, or what asking for it raises.
    """

    def __init__(self, pid: int, exe: str | Exception) -> None:
        self.pid = pid
        self._exe = exe

    def exe(self) -> str:
        """Return the path of the program."""
        if isinstance(self._exe, Exception):
            raise self._exe
        return self._exe

    def create_time(self) -> float:
        """Return when it was started, in seconds since the epoch."""
        return 1000.0


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """Return the list of processes, to be filled."""
    found: list[Process] = []
    monkeypatch.setattr(psutil, "process_iter", lambda: iter(found))
    return found


def test_processes_of_the_lab_are_found_by_their_program(processes: list[Process]) -> None:
    """A QEMU that lies in the cache was built by a lab; one beside it was not."""
    processes += [Process(1, "/sbin/init"), Process(7, "/cache/builds/x/qemu"), Process(8, "/cache-of-others/qemu")]
    assert tuple(lab_processes(Path("/cache"), now_s=lambda: 1060.0)) == (LabProcess(7, 60.0),)


@pytest.mark.parametrize("error", [psutil.NoSuchProcess(7), psutil.AccessDenied(7), FileNotFoundError()])
def test_processes_that_cannot_be_looked_at_are_passed_over(processes: list[Process], error: Exception) -> None:
    """What ends while we look, or belongs to somebody else, is not ours."""
    processes += [Process(7, error), Process(8, "/cache/qemu")]
    assert [one.pid for one in lab_processes(Path("/cache"))] == [8]


def test_a_clock_that_was_put_back_makes_no_negative_age(processes: list[Process]) -> None:
    """A process from the future is zero seconds old."""
    processes.append(Process(7, "/cache/qemu"))
    assert next(lab_processes(Path("/cache"), now_s=lambda: 5.0)).age_s == 0.0


def test_disk_use_is_counted_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything below counts, a sparse file as little as it takes, and a file that vanishes not at all."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "data").write_bytes(os.urandom(3 << 20))
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)

    def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        yield str(folder), [], ["gone", "sparse"]
        yield str(folder / "deep" / "er"), [], ["data"]

    assert used_mib(tmp_path) == 3
    monkeypatch.setattr(os, "walk", walk)
    assert used_mib(tmp_path) == 3


def test_this_host_can_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking around works on the host of the test, with an empty cache."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(surroundings, "missing_packages", lambda: REQUIREMENTS[:1])
    monkeypatch.setattr(surroundings, "missing_optional_packages", lambda: OPTIONAL)
    around = read_surroundings()
    assert around.missing == REQUIREMENTS[:1] and around.missing_optional == OPTIONAL
    assert around.is_root == (os.geteuid() == 0)
    assert (around.cache.path, around.cache.used_mib) == (tmp_path, 0)
    assert around.cache.free_mib > 0


def test_disk_use_of_what_is_nested_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python cannot walk is not counted, and is no error."""

    def walk(_: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        yield str(tmp_path), [], ["data"]
        raise RecursionError

    (tmp_path / "data").write_bytes(os.urandom(2 << 20))
    monkeypatch.setattr(os, "walk", walk)
    assert used_mib(tmp_path) == 2
