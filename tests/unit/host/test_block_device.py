"""The guard before a host block device: what it looks at is made up here, tree by tree."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from lab.command import CommandResult
from lab.errors import HostError
from lab.host import block_device
from lab.host.block_device import claimed, content, device_number, read_device, require_vfio, uses

DISK, PART, OTHER = "8:0", "8:1", "8:2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with one disk, sda, that has two partitions and no use."""
    for name, number in (("sda", DISK), ("sda/sda1", PART), ("sda/sda2", OTHER)):
        folder = tmp_path / "sys/devices/pci/block" / name
        (folder / "holders").mkdir(parents=True)
        (folder / "dev").write_text(f"{number}\n")
        if "/" in name:
            (folder / "partition").write_text(f"{name[-1]}\n")
        link = tmp_path / "sys/dev/block" / number
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)
    (tmp_path / "dev/disk/by-id").mkdir(parents=True)
    (tmp_path / "dev/sda1").write_text("")
    (tmp_path / "dev/disk/by-id/ata-X-part1").symlink_to(tmp_path / "dev/sda1")
    (tmp_path / "proc/self").mkdir(parents=True)
    mounts(tmp_path, "22 1 254:0 / / rw - ext4 /dev/vda rw")
    swaps(tmp_path)
    return tmp_path


def mounts(root: Path, *lines: str) -> None:
    """Write what is mounted (proc_pid_mountinfo(5))."""
    (root / "proc/self/mountinfo").write_text("".join(f"{line}\n" for line in lines))


def swaps(root: Path, *paths: str) -> None:
    """Write what is swap space (proc_swaps(5))."""
    lines = [f"{path} partition 1 0 -2\n" for path in paths]
    (root / "proc/swaps").write_text("Filename Type Size Used Priority\n" + "".join(lines))


def used(root: Path, number: str = DISK) -> tuple[str, ...]:
    """Who uses the device of that number."""
    return uses(read_device(number, root), root)


def hold(root: Path, name: str, holder: str) -> None:
    """Let something be built on a device."""
    (root / "sys/devices/pci/block" / name / "holders" / holder).mkdir()


def test_a_disk_knows_its_partitions_and_a_partition_its_disk(root: Path) -> None:
    """What shares blocks with a device decides about it."""
    disk, part = read_device(DISK, root), read_device(PART, root)
    assert (disk.name, disk.whole, disk.partitions) == ("sda", None, (("sda1", PART), ("sda2", OTHER)))
    assert (part.name, part.whole, part.partitions) == ("sda1", ("sda", DISK), ())
    assert part.names == {"sda1": PART, "sda": DISK}


def test_nobody_uses_an_idle_disk(root: Path) -> None:
    """No sentence."""
    assert used(root) == ()


@pytest.mark.parametrize("number", [DISK, PART])
def test_a_mounted_partition_forbids_its_disk_and_itself(root: Path, number: str) -> None:
    """By the number, whatever path it was mounted by; and a mount point may hold a blank."""
    mounts(root, "30 22 8:1 / /mnt/my\\040disk rw shared:1 - ext4 /dev/root rw")
    assert used(root, number) == ("sda1 is mounted on /mnt/my\\040disk",)


def test_a_mounted_partition_does_not_forbid_its_neighbour(root: Path) -> None:
    """They share no block."""
    mounts(root, "30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw")
    assert used(root, OTHER) == ()


def test_a_mounted_disk_forbids_its_partitions(root: Path) -> None:
    """Their blocks are the disk's."""
    mounts(root, "30 22 8:0 / /mnt rw - ext4 /dev/sda rw")
    assert used(root, PART) == ("sda is mounted on /mnt",)


def test_a_mount_without_a_device_number_is_found_by_its_source(root: Path) -> None:
    """btrfs has anonymous numbers, and by-id paths are symbolic links."""
    mounts(root, f"30 22 0:44 / /mnt rw - btrfs {Path('/dev/disk/by-id/ata-X-part1')} rw", "short line")
    assert used(root) == ("sda1 is mounted on /mnt",)


@pytest.mark.parametrize("path", ["/dev/sda1", "/dev/disk/by-id/ata-X-part1"])
def test_swap_forbids(root: Path, path: str) -> None:
    """The kernel writes there whenever it likes."""
    swaps(root, path)
    assert used(root) == ("sda1 is swap space",)


@pytest.mark.parametrize("holding", ["sda", "sda/sda1"])
def test_what_is_built_on_a_device_forbids_it(root: Path, holding: str) -> None:
    """LVM, dm-crypt and RAID show as holders; the partition of a held disk is held, too."""
    hold(root, holding, "dm-0")
    held = ("sda is held by dm-0",)
    assert used(root, DISK) == held
    assert used(root, PART) == ("sda1 is held by dm-0",)


@pytest.mark.parametrize("backing", ["/dev/sda1", "/dev/disk/by-id/ata-X-part1"])
def test_a_loop_device_on_a_device_forbids_it(root: Path, backing: str) -> None:
    """It shows neither as a holder nor to O_EXCL, and a file system may be mounted through it, at any offset."""
    for loop, file in (("loop0", backing), ("loop1", "/home/me/disk.img")):
        (root / f"sys/block/{loop}/loop").mkdir(parents=True)
        (root / f"sys/block/{loop}/loop/backing_file").write_text(f"{file}\n")
    (root / "sys/block/loop2/loop/backing_file").mkdir(parents=True)  # cannot be read: it was just taken down
    assert used(root) == used(root, PART) == ("sda1 is held by loop0",)
    assert used(root, OTHER) == ()


def test_a_device_that_sysfs_does_not_know_is_not_written(root: Path) -> None:
    """Nobody could say who uses it."""
    with pytest.raises(HostError, match="the kernel shows no device 9:9"):
        read_device("9:9", root)


def test_without_proc_nothing_is_written(root: Path) -> None:
    """What is mounted is not guessed."""
    device = read_device(DISK, root)
    (root / "proc/swaps").unlink()
    with pytest.raises(HostError, match="what is mounted cannot be read"):
        uses(device, root)


@pytest.mark.parametrize("name", ["none", "file", "folder", "a\0b"])
def test_what_is_no_block_device_is_refused(tmp_path: Path, name: str) -> None:
    """A missing path, a file, a folder, and a name that no file can have."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(HostError, match=r"there is no device|is not a block device"):
        device_number(tmp_path / name)


def says(monkeypatch: pytest.MonkeyPatch, status: int, text: str = "") -> None:
    """Let blkid answer so."""
    answer = CommandResult(("blkid",), status, text, "")
    monkeypatch.setattr(block_device, "run", lambda *_args, **_options: answer)
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: "/usr/sbin/blkid")


@pytest.mark.parametrize(
    ("status", "text", "found"),
    [
        (2, "", ""),
        (0, "DEVNAME=/dev/x\nTYPE=LVM2_member\nUSAGE=raid\n", "LVM2_member (raid)"),
        (0, "DEVNAME=/dev/x\nPTUUID=1\nPTTYPE=gpt\n", "a partition table (gpt)"),
        (0, "a line without a value\n", "something (unknown use)"),
        (8, "", "signatures of several kinds"),
    ],
)
def test_blkid_says_what_is_on_a_device(monkeypatch: pytest.MonkeyPatch, status: int, text: str, found: str) -> None:
    """Its exit statuses are those of blkid(8)."""
    says(monkeypatch, status, text)
    assert content(Path("/dev/x")) == found


def test_a_blkid_that_fails_or_is_not_there_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is not "nothing is on it"."""
    says(monkeypatch, 4)
    with pytest.raises(HostError, match="blkid cannot say what is on /dev/x: exit status 4"):
        content(Path("/dev/x"))
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    with pytest.raises(HostError, match="'blkid' is needed"):
        content(Path("/dev/x"))


@pytest.fixture
def disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path that everybody takes for the disk without partitions; tests cannot make device nodes."""
    path = root / "dev/sda"
    path.write_text("")
    for part in ("sda1", "sda2"):
        (root / f"sys/devices/pci/block/sda/{part}/partition").unlink()
    monkeypatch.setattr(block_device, "device_number", lambda _path: DISK)
    monkeypatch.setattr(block_device, "_number_of", lambda _handle: DISK)
    return path


def claim(disk: Path, root: Path, *, forced: bool = False, found: str = "") -> None:
    """Claim the disk, where blkid finds this on it, and let it go."""
    with claimed(disk, forced=forced, root=root, probe=lambda _path: found):
        pass


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_idle_empty_disk_may_be_written(root: Path, disk: Path) -> None:
    """It is claimed as long as the block lasts, and no longer."""
    before = open_files()
    with claimed(disk, forced=False, root=root, probe=lambda _path: ""):
        assert open_files() == before + 1
    assert open_files() == before


def test_a_disk_in_use_is_refused_even_if_it_is_forced(root: Path, disk: Path) -> None:
    """Force is for what is on a device, not for who uses it."""
    mounts(root, "30 22 8:0 / /mnt rw - ext4 /dev/sda rw")
    for forced in (False, True):
        with pytest.raises(HostError, match=r"is not written: sda is mounted on /mnt"):
            claim(disk, root, forced=forced)


def test_a_disk_with_something_on_it_must_be_named_twice(root: Path, disk: Path) -> None:
    """The remedy shows the line to write; forced, nobody even looks."""
    with pytest.raises(HostError, match=r"there is ext4 \(filesystem\) on it") as caught:
        claim(disk, root, found="ext4 (filesystem)")
    assert f'force_device = "{disk}"' in caught.value.remedy
    claim(disk, root, forced=True, found="ext4 (filesystem)")


def test_a_disk_with_partitions_must_be_named_twice(root: Path, disk: Path) -> None:
    """The kernel knows them even where their table is of a kind that blkid does not."""
    (root / "sys/devices/pci/block/sda/sda1/partition").write_text("1\n")
    with pytest.raises(HostError, match=r"there are partitions \(sda1\) on it"):
        claim(disk, root)
    claim(disk, root, forced=True)


@pytest.mark.parametrize(
    ("number", "text"), [(errno.EBUSY, "somebody holds it"), (errno.EACCES, "cannot be opened: Permission denied")]
)
def test_a_disk_that_cannot_be_claimed_is_refused(
    root: Path, disk: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    """Mounted in another name space, say, or not ours to read."""

    def refuse(*_args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(HostError, match=text), claimed(disk, forced=True, root=root):
        pytest.fail("it was claimed")


def test_a_write_protected_disk_is_refused(root: Path, disk: Path) -> None:
    """QEMU would refuse it at the start of each run."""
    (root / "sys/devices/pci/block/sda/ro").write_text("0\n")
    claim(disk, root)
    (root / "sys/devices/pci/block/sda/ro").write_text("1\n")
    with pytest.raises(HostError, match="is write-protected"):
        claim(disk, root, forced=True)


def test_a_disk_that_another_qemu_has_open_is_refused(root: Path, disk: Path) -> None:
    """QEMU never opens exclusively, but it locks a byte for each thing that it does to the disk, 101 for writing."""
    with disk.open("rb") as other:
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 101, 1, 0)
        fcntl.fcntl(other, fcntl.F_OFD_SETLK, lock)
        with pytest.raises(HostError, match="another QEMU has it open"):
            claim(disk, root, forced=True)
    claim(disk, root)


def test_a_path_that_changes_under_the_look_is_refused(root: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at and what was opened must be one device."""
    monkeypatch.setattr(block_device, "_number_of", lambda _handle: "9:9")
    with pytest.raises(HostError, match="became another device"), claimed(disk, forced=True, root=root):
        pytest.fail("it was claimed")


def test_a_pci_device_must_be_bound_to_vfio(tmp_path: Path) -> None:
    """Not there, without a driver, with the host's driver, and free for QEMU."""
    folder = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    with pytest.raises(HostError, match="there is no PCI device"):
        require_vfio("0000:01:00.0", tmp_path)
    folder.mkdir(parents=True)
    with pytest.raises(HostError, match="is bound to no driver"):
        require_vfio("0000:01:00.0", tmp_path)
    for driver in ("nvme", "vfio-pci"):
        (tmp_path / driver).mkdir()
        (folder / "driver").unlink(missing_ok=True)
        (folder / "driver").symlink_to(tmp_path / driver)
        if driver == "nvme":
            with pytest.raises(HostError, match="is bound to nvme, not to vfio-pci"):
                require_vfio("0000:01:00.0", tmp_path)
    require_vfio("0000:01:00.0", tmp_path)


def test_numbers_are_read_from_the_open_file(tmp_path: Path) -> None:
    """/dev/null is 1:3 on every Linux."""
    handle = os.open("/dev/null", os.O_RDONLY)
    try:
        assert block_device._number_of(handle) == "1:3"
    finally:
        os.close(handle)
