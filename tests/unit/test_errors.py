from __future__ import annotations

from pathlib import Path

import pytest

from lab import errors
from lab.errors import ExitCode, LabError
from tests.unit.project import PROJECT

CONTRACT = {
    "InputError": 2,
    "PatchError": 2,
    "HostError": 3,
    "MissingPackagesError": 3,
    "NotComparableError": 4,
    "FindingError": 1,
    "StageError": 3,
    "CommandError": 3,
    "DeadlineError": 3,
    "BootError": 3,
    "CrashError": 3,
    "GuestError": 3,
    "MonitorError": 3,
    "RefusedError": 3,
    "DeviceError": 3,
    "WorkloadError": 3,
}


def _subclasses(root: type[LabError]) -> set[type[LabError]]:
    return {root}.union(*(_subclasses(child) for child in root.__subclasses__()))


def _tree_names() -> set[str]:
    """Names of all errors the module defines, without those that other test modules made for themselves."""
    return {error.__name__ for error in _subclasses(LabError) if error.__module__ == "lab.errors"} - {"LabError"}


@pytest.mark.parametrize(("name", "code"), CONTRACT.items())
def test_exit_code_of_each_error(name: str, code: int) -> None:
    """Each error of the tree ends ``lab`` with the exit code of the contract."""
    assert getattr(errors, name)("why").exit_code == code


def test_no_error_is_without_contract() -> None:
    """Every error of the tree has an exit code in the table above, and none but the root means an internal error."""
    assert _tree_names() == set(CONTRACT)


def test_tree_in_the_docstring_is_complete() -> None:
    """The tree drawn in the module's docstring names every error there is."""
    drawn = errors.__doc__ or ""
    assert all(name in drawn for name in _tree_names())


def test_exit_codes_are_documented() -> None:
    """docs/exit-codes.md has a row for every exit code."""
    page = (PROJECT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    assert all(f"| {code.value} |" in page for code in ExitCode)


def test_error_carries_remedy_and_evidence() -> None:
    """An error keeps its message, remedy and evidence apart, and reads as its message."""
    error = errors.CommandError("it failed", remedy="look", evidence=Path("build.log"))
    assert (str(error), error.message, error.remedy, error.evidence) == (
        "it failed",
        "it failed",
        "look",
        Path("build.log"),
    )


def test_error_without_remedy() -> None:
    """Remedy and evidence are empty, not missing, where nobody knows them."""
    assert (LabError("why").remedy, LabError("why").evidence) == ("", None)
