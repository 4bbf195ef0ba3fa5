"""Backends as values."""

from pathlib import Path

import pytest

from lab.errors import InputError
from lab.machine.backend import Aio, Blkdebug, Cache, FileBackend, HostDeviceBackend, NbdBackend


@pytest.mark.parametrize(
    ("cache", "direct", "no_flush", "write_cache"),
    [
        (Cache.NONE, True, False, True),
        (Cache.WRITEBACK, False, False, True),
        (Cache.WRITETHROUGH, False, False, False),
        (Cache.DIRECTSYNC, True, False, False),
        (Cache.UNSAFE, False, True, True),
    ],
)
def test_cache_modes_mean_what_the_man_page_says(cache: Cache, direct: bool, no_flush: bool, write_cache: bool) -> None:
    """The table of qemu(1), under -drive cache=."""
    assert (cache.direct, cache.no_flush, cache.write_cache) == (direct, no_flush, write_cache)


@pytest.mark.parametrize("kind", [FileBackend, HostDeviceBackend])
@pytest.mark.parametrize("cache", [Cache.WRITEBACK, Cache.WRITETHROUGH, Cache.UNSAFE])
def test_native_aio_needs_the_page_cache_bypassed(
    kind: type[FileBackend] | type[HostDeviceBackend], cache: Cache
) -> None:
    """QEMU refuses it at the start of each run; the lab does in the first second."""
    with pytest.raises(InputError, match="aio=native needs the page cache to be bypassed"):
        kind(Path("/dev/x"), aio=Aio.NATIVE, cache=cache)


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("unix:/run/a b.sock", {"type": "unix", "path": "/run/a b.sock"}),
        ("storage:10809", {"type": "inet", "host": "storage", "port": "10809"}),
        ("[::1]:1", {"type": "inet", "host": "::1", "port": "1"}),
    ],
)
def test_addresses_of_nbd_servers(address: str, server: dict[str, str]) -> None:
    """A socket, a host with its port, and an IPv6 address in brackets."""
    assert NbdBackend(address).server() == server


@pytest.mark.parametrize("address", ["", "storage", "storage:", ":10809", "unix:relative", "a:0", "a:65536", "a:1x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """Before QEMU is started."""
    with pytest.raises(InputError, match="is not the address of an NBD server"):
        NbdBackend(address)


def test_blkdebug_splits_at_multiples_of_its_alignment() -> None:
    """QEMU 10.0: "Cannot meet constraints with max-transfer 66560"."""
    assert Blkdebug(4096).max_transfer_bytes is None
    assert Blkdebug(None, 66560).max_transfer_bytes == 66560
    assert Blkdebug(4096, 65536).max_transfer_bytes == 65536
    with pytest.raises(InputError, match="blkdebug cannot split requests at 66560 bytes and align them to 4096"):
        Blkdebug(4096, 66560)
