"""A disk's backend and filters to the arguments of ``-blockdev`` (qapi/block-core.json, BlockdevOptions). Pure."""

from __future__ import annotations

from typing import Any

from lab.machine.backend import (
    Backend,
    Cache,
    FileBackend,
    Filter,
    HostDeviceBackend,
    ImageFormat,
    NbdBackend,
    NullBackend,
    NvmeBackend,
    Throttle,
)


def blockdev_from_backend(node_name: str, backend: Backend, filters: tuple[Filter, ...] = ()) -> dict[str, Any]:
    """Return the arguments of ``-blockdev`` or ``blockdev-add``: one tree, so that the disk is one option.

    :param node_name: of the top node, the one a device names; what is below has names made from it.
    :param filters: from the bottom to the top.
    """
    nodes = [node_name if number == len(filters) else f"{node_name}-{number}" for number in range(len(filters) + 1)]
    options = _driver_options(nodes[0], backend)
    cache = cache_of(backend)
    for name, layer in zip(nodes[1:], filters, strict=True):
        # A filter whose cache options are not given gets QEMU's defaults, whatever is below it.
        shared = {} if cache is None else {"cache": _cache(cache)}
        options = {**_filter_options(name, layer, options), **shared, **_read_only(is_read_only(backend))}
    return options


def throttle_group(node_name: str, throttle: Throttle) -> dict[str, Any]:
    """Return the arguments of ``-object`` for the group that a throttle filter names (``ThrottleGroupProperties``)."""
    limits = {"iops-total": throttle.iops, "bps-total": throttle.bytes_per_s}
    return {"qom-type": "throttle-group", "id": _group(node_name), "limits": {k: v for k, v in limits.items() if v}}


def throttle_groups(node_name: str, filters: tuple[Filter, ...]) -> tuple[dict[str, Any], ...]:
    """Return the objects that the filters of a disk need."""
    return tuple(
        throttle_group(node_name if number == len(filters) else f"{node_name}-{number}", layer)
        for number, layer in enumerate(filters, start=1)
        if isinstance(layer, Throttle)
    )


def cache_of(backend: Backend) -> Cache | None:
    """Return the cache mode of a backend; None for one that has nothing to cache."""
    return None if isinstance(backend, NullBackend) else backend.cache


def is_read_only(backend: Backend) -> bool:
    """Tell whether a backend is opened for reading only."""
    return not isinstance(backend, NullBackend) and backend.read_only


def _driver_options(node: str, backend: Backend) -> dict[str, Any]:
    if isinstance(backend, NullBackend):
        options: dict[str, Any] = {"driver": backend.driver, "node-name": node, "size": backend.size_bytes}
        latency = {"latency-ns": backend.latency_ns} if backend.latency_ns else {}
        return options | latency | ({"read-zeroes": True} if backend.read_zeroes else {})
    shared = {"cache": _cache(backend.cache), **_read_only(backend.read_only)}
    if isinstance(backend, NvmeBackend):
        device = {"device": backend.pci_address, "namespace": backend.namespace}
        return {"driver": "nvme", "node-name": node, **device, **shared}
    if isinstance(backend, NbdBackend):
        return {"driver": "nbd", "node-name": node, "server": backend.server(), "export": backend.export, **shared}
    protocol = "host_device" if isinstance(backend, HostDeviceBackend) else "file"
    file = {"driver": protocol, "filename": str(backend.path), "aio": backend.aio.value, **shared}
    above = backend.format if isinstance(backend, FileBackend) else ImageFormat.RAW
    return {"driver": above.value, "node-name": node, "file": file, **shared}


def _filter_options(node: str, layer: Filter, below: dict[str, Any]) -> dict[str, Any]:
    if isinstance(layer, Throttle):
        return {"driver": "throttle", "node-name": node, "throttle-group": _group(node), "file": below}
    limits = {"align": layer.align_bytes, "max-transfer": layer.max_transfer_bytes}
    set_limits = {name: value for name, value in limits.items() if value is not None}
    return {"driver": "blkdebug", "node-name": node, **set_limits, "image": below}


def _group(node: str) -> str:
    return f"{node}-limits"


def _cache(cache: Cache) -> dict[str, bool]:
    return {"direct": cache.direct, "no-flush": cache.no_flush}


def _read_only(read_only: bool) -> dict[str, bool]:
    return {"read-only": True} if read_only else {}
