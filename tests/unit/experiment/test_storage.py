"""Files and devices that must be there before a boot."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab.command import CommandResult
from lab.errors import CommandError, HostError, InputError
from lab.experiment import storage
from lab.experiment.storage import prepare_storage, storage_held
from lab.machine.backend import Aio, Backend, FileBackend, HostDeviceBackend, ImageFormat, NullBackend, NvmeBackend
from lab.machine.mapping import Device
from lab.machine.spec import Controller, Disk, GuestMemory, MachineSpec
from lab.progress import SilentProgress

MIB = 1 << 20
QEMU_IMG = Path("/q/qemu-img")


def machine(*backends: Backend) -> MachineSpec:
    """A machine with these disks."""
    disks = tuple(Disk(f"disk{number}", backend) for number, backend in enumerate(backends))
    return MachineSpec("tcg", 1, 256, (), (Controller("scsi0", Device.VIRTIO_SCSI, 1, disks),))


def prepare(*backends: Backend) -> None:
    """Prepare the storage of one machine."""
    prepare_storage((machine(*backends),), QEMU_IMG, SilentProgress())


class FakeImg:
    """qemu-img create and info, as far as they are used; anything else is refused."""

    def __init__(self, info: str = "{}", status: int = 0, *, sparse: bool = False) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.info, self.status, self.sparse = info, status, sparse

    def __call__(self, argv: tuple[str | Path, ...], **_options: object) -> CommandResult:
        """Answer a call."""
        words = tuple(str(word) for word in argv)
        self.calls.append(words)
        assert words[0] == str(QEMU_IMG)
        if words[1] == "create":
            if self.status:
                raise CommandError("qemu-img failed: no space")
            with Path(words[-2]).open("wb") as sink:
                if self.sparse:
                    sink.truncate(int(words[-1]))
                else:
                    sink.write(os.urandom(int(words[-1])))
        else:
            assert words[1] == "info"
        return CommandResult(words, self.status, self.info, "not an image" if self.status else "")


@pytest.fixture
def img(monkeypatch: pytest.MonkeyPatch) -> FakeImg:
    """A working qemu-img."""
    fake = FakeImg()
    monkeypatch.setattr(storage, "run", fake)
    return fake


def made(folder: Path, *, image_format: ImageFormat = ImageFormat.RAW) -> FileBackend:
    """A disk that the lab makes."""
    return FileBackend(folder / f"disk0-1g.{image_format}", image_format, made_by_lab=True, size_bytes=MIB)


def test_a_disk_file_is_made_once_with_every_block_written(tmp_path: Path, img: FakeImg) -> None:
    """Two machines share it; a second call finds it; nothing half-made is left."""
    disk = made(tmp_path)
    prepare_storage((machine(disk), machine(disk, NullBackend())), QEMU_IMG, SilentProgress())
    prepare(disk)
    (call,) = img.calls
    assert call[1:7] == ("create", "-q", "-f", "raw", "-o", "preallocation=full")
    assert {path.name for path in tmp_path.iterdir()} == {"disk0-1g.raw", "disk0-1g.lock"}


def test_a_qcow2_file_has_the_clusters_that_were_asked_for(tmp_path: Path, img: FakeImg) -> None:
    """They are part of its name, too."""
    prepare(made(tmp_path, image_format=ImageFormat.QCOW2))
    assert "preallocation=full,cluster_size=65536" in img.calls[0]


def test_a_half_made_file_is_made_again(tmp_path: Path, img: FakeImg) -> None:
    """The lab was killed while it wrote."""
    (tmp_path / "disk0-1g.part").write_bytes(b"half")
    prepare(made(tmp_path))
    assert len(img.calls) == 1
    assert not (tmp_path / "disk0-1g.part").exists()


def test_too_little_room_is_found_before_writing(tmp_path: Path, img: FakeImg, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host keeps two GiB for itself."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=2 << 30))
    with pytest.raises(HostError, match=r"has 2\.0 GiB free, too little"):
        prepare(made(tmp_path))
    assert img.calls == []


def test_a_file_system_that_drops_zeroes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads would meet holes: something else than what the job asks about."""
    monkeypatch.setattr(storage, "run", FakeImg(sparse=True))
    with pytest.raises(HostError, match="does not keep the zeroes"):
        prepare(made(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["disk0-1g.lock"]


def test_an_image_tool_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its words."""
    monkeypatch.setattr(storage, "run", FakeImg(status=1))
    with pytest.raises(HostError, match=r"no disk file could be made in .*: qemu-img failed: no space"):
        prepare(made(tmp_path))


def test_a_user_s_file_must_be_a_file(tmp_path: Path, img: FakeImg) -> None:
    """A folder, or a device node in the folder of the job, is none; a raw file is not looked into."""
    with pytest.raises(InputError, match="is not a regular file"):
        prepare(FileBackend(tmp_path))
    (tmp_path / "own.raw").write_bytes(b"")
    prepare(FileBackend(tmp_path / "own.raw"))
    assert img.calls == []


@pytest.mark.parametrize(
    ("info", "error", "text"),
    [
        ({"format": "qcow2"}, None, ""),
        ({"backing-filename": "/etc/shadow"}, InputError, "is built on another file"),
        ({"format-specific": {"data": {"data-file": "/dev/sda"}}}, InputError, "is built on another file"),
        ([], HostError, "printed no JSON object"),
        (None, HostError, "printed no JSON object"),
    ],
)
def test_an_image_may_not_name_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: object, error: type[Exception] | None, text: str
) -> None:
    """QEMU would open them: for reading what the image does not hold, or for writing its data."""
    monkeypatch.setattr(storage, "run", FakeImg("{" if info is None else json.dumps(info)))
    (tmp_path / "own.qcow2").write_bytes(b"")
    own = FileBackend(tmp_path / "own.qcow2", ImageFormat.QCOW2)
    if error is None:
        prepare(own)
        return
    with pytest.raises(error, match=text):
        prepare(own)


def test_a_file_that_is_no_image_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In qemu-img's words."""
    monkeypatch.setattr(storage, "run", FakeImg(status=1))
    (tmp_path / "own.qcow2").write_bytes(b"")
    with pytest.raises(InputError, match="is no qcow2 image: not an image"):
        prepare(FileBackend(tmp_path / "own.qcow2", ImageFormat.QCOW2))


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is claimed and let go, in order."""
    log: list[str] = []

    @contextmanager
    def claim(path: Path, *, forced: bool) -> Iterator[None]:
        log.append(f"claim {path} {forced}")
        yield
        log.append(f"release {path}")

    monkeypatch.setattr(storage, "claimed", claim)
    monkeypatch.setattr(storage, "device_number", lambda path: log.append(f"look {path}"))
    return log


def test_a_device_that_is_written_is_claimed_while_the_machine_runs(claims: list[str]) -> None:
    """One that is read is only looked at."""
    spec = machine(HostDeviceBackend(Path("/dev/a")), HostDeviceBackend(Path("/dev/b"), read_only=False, forced=True))
    with storage_held(spec):
        claims.append("run")
    assert claims == ["look /dev/a", "look /dev/b", "claim /dev/b True", "run", "release /dev/b"]


def test_devices_are_looked_at_before_an_experiment_and_let_go(claims: list[str]) -> None:
    """So that a mounted disk is found before the first boot."""
    prepare(HostDeviceBackend(Path("/dev/b"), read_only=False))
    assert claims == ["look /dev/b", "claim /dev/b False", "release /dev/b"]


def test_a_device_that_cells_open_in_several_ways_is_claimed_once_at_a_time(claims: list[str]) -> None:
    """With aio as a factor a second claim would meet our own first one."""
    machines = (machine(HostDeviceBackend(Path("/dev/b"), aio, read_only=False)) for aio in (Aio.NATIVE, Aio.IO_URING))
    prepare_storage(machines, QEMU_IMG, SilentProgress())
    assert claims == ["look /dev/b", "claim /dev/b False", "release /dev/b"] * 2


def test_huge_pages_are_counted_before_anything_is_made(
    tmp_path: Path, img: FakeImg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the size that was asked for, and only if it was."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(storage, "require_hugepages", lambda *pages: asked.append(pages))
    plain = machine(made(tmp_path))
    huge = replace(plain, memory=GuestMemory(hugepage_kib=2048))
    prepare_storage(iter((plain, huge)), QEMU_IMG, SilentProgress())
    assert asked == [(256, 2048)]
    assert len(img.calls) == 1


def test_an_nvme_namespace_is_written_only_if_it_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host cannot see what is on a device that QEMU drives."""
    monkeypatch.setattr(storage, "require_vfio", lambda _address: None)
    address = "0000:01:00.0"
    prepare(NvmeBackend(address), NvmeBackend(address, 2, read_only=False, forced=True))
    with pytest.raises(HostError, match="what is on it cannot be seen"):
        prepare(NvmeBackend(address, read_only=False))
