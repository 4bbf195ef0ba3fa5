"""A results folder: written once, appended to, never edited.

The layout is a contract (docs/pipeline.md). A record is appended and fsynced before anybody is told that the run is
done, and whole files are replaced atomically, so that a power cut loses at most the run that was under way.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from lab.errors import HostError, InputError
from lab.files import MIB, read_input, read_text_input, sync, write_atomically
from lab.record import (
    RunRecord,
    ScheduledRun,
    json_from_record,
    json_from_scheduled,
    record_from_json,
    scheduled_from_json,
)
from lab.settings import cache_dir

EXPERIMENT = "experiment.toml"
HOST = "host.json"
BUILDS = "builds.json"
SCHEDULE = "schedule.jsonl"
RUNS = "runs.jsonl"
EVIDENCE = "runs"
_WHOLE_FILES = (EXPERIMENT, HOST, BUILDS, SCHEDULE)
_BEGINNINGS = {EVIDENCE, *_WHOLE_FILES, *(f".{name}.part" for name in _WHOLE_FILES)}
_LARGEST_BYTES = 1 << 30


class ResultsFolder:
    """One experiment on disk; a context manager that holds the folder's lock.

    :raise HostError: another process is writing to the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FileLock | None = None

    @property
    def exists(self) -> bool:
        """Tell whether the experiment was begun: its schedule is the last thing that is written before the runs."""
        return (self.path / SCHEDULE).is_file()

    def __enter__(self) -> ResultsFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            sync(self.path)
        except OSError as err:
            raise HostError(
                f"{self.path} cannot be a results folder: {err.strerror}", remedy="name another one with --results"
            ) from err
        # The lock lies in the cache, so that a results folder holds results only, and is never removed: a lock file
        # that one process removes while another one takes it gives the lock to a third.
        name = hashlib.sha256(str(self.path.resolve()).encode(errors="surrogateescape")).hexdigest()[:32]
        lock = FileLock(cache_dir("locks") / f"results-{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise HostError(
                f"another lab is writing to {self.path}", remedy="wait for it, or name another folder with --results"
            ) from None
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def begin(
        self,
        *,
        experiment: str,
        host: Mapping[str, Any],
        builds: Mapping[str, Any],
        schedule: Iterable[ScheduledRun],
    ) -> None:
        """Write what is asked, where, with what, and in which order.

        :raise InputError: the folder holds an experiment already, or anything but what an interrupted call leaves.
        """
        if self.exists:
            raise InputError(f"{self.path} holds an experiment already", remedy="name another folder with --results")
        foreign = sorted({file.name for file in self.path.iterdir()} - _BEGINNINGS)
        if foreign:  # somebody else's folder, or an experiment that lost its schedule: writing would mix the two
            raise InputError(
                f"{self.path} holds something else already: {foreign[0]}", remedy="name another folder with --results"
            )
        (self.path / EVIDENCE).mkdir(exist_ok=True)
        write_atomically(self.path / EXPERIMENT, experiment)
        write_atomically(self.path / HOST, _pretty(host))
        write_atomically(self.path / BUILDS, _pretty(builds))
        lines = (json.dumps(json_from_scheduled(run), allow_nan=False) for run in schedule)
        write_atomically(self.path / SCHEDULE, "".join(f"{line}\n" for line in lines))

    def schedule(self) -> tuple[ScheduledRun, ...]:
        """Return the runs in their order.

        :raise InputError: a line is damaged; the message has file and line.
        """
        return tuple(scheduled_from_json(value) for value in _lines(self.path / SCHEDULE))

    def records(self) -> tuple[RunRecord, ...]:
        """Return the records of all attempts so far.

        A last line without an end was being written when the power went: it is passed over, and cut off by whoever
        holds the lock; its run is done again.

        :raise InputError: another line is damaged; the message has file and line.
        """
        if not (self.path / RUNS).exists():
            return ()
        return tuple(
            record_from_json(value) for value in _lines(self.path / RUNS, tolerant=True, repair=self._lock is not None)
        )

    def evidence_dir(self, run_id: str) -> Path:
        """Return an empty folder for the evidence of an attempt, clearing what a killed attempt of that name left."""
        folder = self.path / EVIDENCE / run_id
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def append(self, record: RunRecord) -> None:
        """Append a record and wait until it is on the disk.

        :raise HostError: it could not be written; a part of a line is cut off by the next call.
        """
        line = json.dumps(json_from_record(record), allow_nan=False) + "\n"
        try:
            with (self.path / RUNS).open("ab") as sink:
                sink.write(line.encode())
                sink.flush()
                os.fsync(sink.fileno())
            sync(self.path)
        except OSError as err:
            raise HostError(
                f"the record of {record.id} could not be written: {err.strerror}",
                remedy="see that the disk is not full",
            ) from err

    def read_json(self, name: str) -> dict[str, Any]:
        """Return one of the JSON files of the folder.

        :raise InputError: it is missing, damaged, or no object.
        """
        try:
            value = json.loads(read_text_input(self.path / name, limit_bytes=_LARGEST_BYTES))
        except (ValueError, RecursionError) as err:
            raise InputError(f"{self.path / name} cannot be read: {err}") from err
        if not isinstance(value, dict):
            raise InputError(f"{self.path / name} cannot be read: it holds no object")
        return value

    def experiment_text(self) -> str:
        """Return the question, verbatim.

        :raise InputError: it is missing, or no text.
        """
        return read_text_input(self.path / EXPERIMENT, limit_bytes=MIB)


def _pretty(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _lines(path: Path, *, tolerant: bool = False, repair: bool = False) -> list[Any]:
    data = read_input(path, limit_bytes=_LARGEST_BYTES)
    if tolerant and data and not data.endswith(b"\n"):
        data = data[: data.rfind(b"\n") + 1]
        if repair:
            with path.open("r+b") as sink:
                sink.truncate(len(data))
                os.fsync(sink.fileno())
    values = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError) as err:
            raise InputError(
                f"{path}:{number}: this is not JSON: {err}",
                remedy="the folder was edited or damaged; restore it from a copy, or begin a new experiment",
            ) from err
    return values
