"""Huge pages for a guest."""

from pathlib import Path

import pytest

from lab.errors import HostError
from lab.host.hugepages import require_hugepages


def host(root: Path, free: str, more: str = "0", *, promised: int = 0, surplus: int = 0) -> Path:
    """A host with huge pages of 2 MiB."""
    folder = root / "sys/kernel/mm/hugepages/hugepages-2048kB"
    folder.mkdir(parents=True)
    (folder / "free_hugepages").write_text(f"{free}\n")
    (folder / "nr_overcommit_hugepages").write_text(f"{more}\n")
    (folder / "nr_hugepages").write_text("1000\n")
    (folder / "resv_hugepages").write_text(f"{promised}\n")
    (folder / "surplus_hugepages").write_text(f"{surplus}\n")
    return root


@pytest.mark.parametrize(("free", "more"), [("512", "0"), ("500", "12"), ("9999", "0")])
def test_enough_pages_are_enough(tmp_path: Path, free: str, more: str) -> None:
    """Pages that the kernel may make when they are needed count, too."""
    require_hugepages(1024, 2048, host(tmp_path, free, more))


def test_pages_of_others_are_not_free(tmp_path: Path) -> None:
    """A guest that has not touched its pages yet has been promised them; surplus pages are made already."""
    with pytest.raises(HostError, match="needs 512 huge pages of 2048 KiB, and 200 are free"):
        require_hugepages(1024, 2048, host(tmp_path, "600", "12", promised=400, surplus=12))


def test_too_few_pages_are_counted(tmp_path: Path) -> None:
    """A part of a page is a page; the remedy is the command."""
    with pytest.raises(
        HostError, match=r"a guest of 1023 MiB needs 512 huge pages of 2048 KiB, and 511 are free"
    ) as said:
        require_hugepages(1023, 2048, host(tmp_path, "511"))
    assert "echo 1001 >" in said.value.remedy


@pytest.mark.parametrize("free", ["", "many"])
def test_a_size_that_the_host_does_not_have_is_told(tmp_path: Path, free: str) -> None:
    """No folder of that size, or a file that holds no number."""
    with pytest.raises(HostError, match="this host has no huge pages of 1048576 KiB"):
        require_hugepages(1024, 1 << 20, host(tmp_path, "1"))
    with pytest.raises(HostError, match="this host has no huge pages of 2048 KiB"):
        require_hugepages(1024, 2048, host(tmp_path / "other", free))
