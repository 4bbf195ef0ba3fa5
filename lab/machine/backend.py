"""Where the requests of a disk end: QEMU's block drivers as values. Pure data; blockdev.py turns it into options.

Sizes are plain integers because ``-blockdev`` takes no suffixes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.errors import InputError

_GIB = 1 << 30


class Aio(StrEnum):
    """How the file and host_device drivers submit requests (``BlockdevAioOptions`` in qapi/block-core.json)."""

    THREADS = "threads"
    NATIVE = "native"
    IO_URING = "io_uring"


class Cache(StrEnum):
    """The cache modes by the names of ``-drive cache=``; what each means stands in QEMU's man page."""

    NONE = "none"
    WRITEBACK = "writeback"
    WRITETHROUGH = "writethrough"
    DIRECTSYNC = "directsync"
    UNSAFE = "unsafe"

    @property
    def direct(self) -> bool:
        """Whether the host's page cache is bypassed (``cache.direct``)."""
        return self in (Cache.NONE, Cache.DIRECTSYNC)

    @property
    def no_flush(self) -> bool:
        """Whether flushes of the guest are ignored (``cache.no-flush``)."""
        return self is Cache.UNSAFE

    @property
    def write_cache(self) -> bool:
        """Whether the guest's disk has a write cache (``write-cache`` of the device)."""
        return self not in (Cache.WRITETHROUGH, Cache.DIRECTSYNC)


class ImageFormat(StrEnum):
    """The format of a disk's file."""

    RAW = "raw"
    QCOW2 = "qcow2"


@dataclass(frozen=True)
class NullBackend:
    """QEMU's null-co or null-aio driver: requests succeed without any I/O, so only QEMU and the guest are measured.

    :param size_bytes: what the guest sees.
    :param latency_ns: each request is held this long; not cancellable.
    :param read_zeroes: fill the buffer of a read, as the driver does not by default.
    """

    driver: str = "null-co"
    size_bytes: int = 8 * _GIB
    latency_ns: int = 0
    read_zeroes: bool = False


@dataclass(frozen=True)
class FileBackend:
    """An image in a regular file.

    :param made_by_lab: the lab makes the file and may write to it; False for a file of the user.
    :param size_bytes: of a disk that the lab makes; 0 for a file that is there.
    :param cluster_bytes: of a qcow2 image that the lab makes.
    """

    path: Path
    format: ImageFormat = ImageFormat.RAW
    aio: Aio = Aio.THREADS
    cache: Cache = Cache.NONE
    read_only: bool = False
    made_by_lab: bool = False
    size_bytes: int = 0
    cluster_bytes: int = 1 << 16

    def __post_init__(self) -> None:
        _check_aio(self.aio, self.cache)


@dataclass(frozen=True)
class HostDeviceBackend:
    """A block device of the host.

    :param path: below /dev; symbolic links such as /dev/disk/by-id are followed.
    :param forced: the user named this device a second time to have its signatures overlooked.
    """

    path: Path
    aio: Aio = Aio.THREADS
    cache: Cache = Cache.NONE
    read_only: bool = True
    forced: bool = False

    def __post_init__(self) -> None:
        _check_aio(self.aio, self.cache)


@dataclass(frozen=True)
class NvmeBackend:
    """A namespace of an NVMe controller that QEMU drives itself, through VFIO (``nvme://``).

    No page cache is in its way, so QEMU takes ``cache.direct`` for something else: it switches the drive's own write
    cache off, and refuses a drive that has none, as those with power-loss protection (``nvme_file_open()`` in
    block/nvme.c).

    :param pci_address: of the host, ``0000:01:00.0``.
    """

    pci_address: str
    namespace: int = 1
    cache: Cache = Cache.WRITEBACK
    read_only: bool = True
    forced: bool = False


@dataclass(frozen=True)
class NbdBackend:
    """An export of an NBD server that somebody else runs.

    :param address: ``unix:/run/nbd.sock`` or ``host:port``.
    """

    address: str
    export: str = ""
    cache: Cache = Cache.NONE
    read_only: bool = True

    def __post_init__(self) -> None:
        self.server()

    def server(self) -> dict[str, str]:
        """Return the address as QEMU takes it (``SocketAddress`` in qapi/sockets.json).

        :raise InputError: it is no address.
        """
        if self.address.startswith("unix:/"):
            return {"type": "unix", "path": self.address.removeprefix("unix:")}
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise InputError(
                f"'{self.address}' is not the address of an NBD server", remedy="write unix:/PATH or HOST:PORT"
            )
        return {"type": "inet", "host": host.strip("[]"), "port": port}


Backend = NullBackend | FileBackend | HostDeviceBackend | NvmeBackend | NbdBackend


@dataclass(frozen=True)
class Throttle:
    """QEMU's throttle filter; 0 is no limit."""

    iops: int = 0
    bytes_per_s: int = 0


@dataclass(frozen=True)
class Blkdebug:
    """QEMU's blkdebug filter, as far as it changes how requests look; None leaves QEMU's default.

    :param align_bytes: requests are widened to this alignment.
    :param max_transfer_bytes: larger requests are split.
    :raise InputError: requests cannot be aligned and split so (``blkdebug_open()`` in block/blkdebug.c).
    """

    align_bytes: int | None = None
    max_transfer_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.align_bytes and (self.max_transfer_bytes or 0) % self.align_bytes:
            raise InputError(
                f"blkdebug cannot split requests at {self.max_transfer_bytes} bytes and align them to "
                f"{self.align_bytes}: QEMU wants a multiple of the alignment"
            )


Filter = Throttle | Blkdebug


def _check_aio(aio: Aio, cache: Cache) -> None:
    """Refuse what QEMU refuses (block/file-posix.c, raw_open_common)."""
    if aio is Aio.NATIVE and not cache.direct:
        raise InputError(
            f"aio=native needs the page cache to be bypassed, which cache={cache} does not",
            remedy="write cache = 'none' or 'directsync', or another aio",
        )
