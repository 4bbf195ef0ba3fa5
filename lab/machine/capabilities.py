"""What a QEMU binary can do, as a value: its JSON form, and what two of them differ in, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lab.errors import InputError
from lab.machine.mapping import PROPERTY, Device, Dialect

_NAMES_SHOWN = 12
_LEFT_OUT = ("not supported in this build", "not supported by this QEMU", "does not accept value")


@dataclass(frozen=True)
class Capabilities:
    """What one binary answered when it was started and asked.

    :param version: QEMU's own, with what the packager added.
    :param accelerators: compiled in, ``qtest`` included; whether this host lets one run is another question.
    :param machine_types: names and aliases.
    :param cpu_models: as ``-cpu`` takes them, without the architecture.
    :param devices: property names by device driver; none for a driver that is no part of a storage path.
    :param block_drivers: compiled in; the schema lists others, too.
    :param schema: the part of ``query-qmp-schema`` that ``-blockdev``, ``-object`` and ``-netdev`` in JSON are made of
        (docs/devel/qapi-code-gen.rst, "Client JSON Protocol introspection").
    :param tried: what only a try can tell, ``aio=MODE`` and ``host-nodes``: empty where it went well here, else QEMU's
        words. A build may lack it, and so may the host's kernel.
    :param trace_backends: those that can be told from outside, ``log`` and ``simple``.
    :param scsi_dialect: what virtio-scsi's mapping counts; None where it has no mapping (before QEMU 10.0).
    """

    version: str
    accelerators: tuple[str, ...]
    machine_types: tuple[str, ...]
    cpu_models: tuple[str, ...]
    devices: Mapping[str, tuple[str, ...]] = field(repr=False)
    block_drivers: tuple[str, ...]
    schema: Mapping[str, Mapping[str, Any]] = field(repr=False)
    tried: Mapping[str, str]
    trace_backends: tuple[str, ...]
    scsi_dialect: Dialect | None

    @property
    def object_types(self) -> tuple[str, ...]:
        """The types that ``-object`` takes."""
        options = self.schema.get(self.schema.get("object-add", {}).get("arg-type", ""), {})
        kinds = [member["type"] for member in options.get("members", ()) if member["name"] == "qom-type"]
        return tuple(sorted(value for kind in kinds for value in values_of_enum(self.schema.get(kind, {}))))

    def has_mapping(self, device: Device) -> bool:
        """Tell whether a device can spread its virtqueues over IOThreads."""
        return PROPERTY in self.devices.get(device.value, ())

    def to_json(self) -> dict[str, Any]:
        """Return everything, for the cache; :meth:`from_json` reads it back."""
        return {
            **{item.name: getattr(self, item.name) for item in fields(self)},
            "devices": {name: list(properties) for name, properties in self.devices.items()},
        }

    def to_summary(self) -> dict[str, Any]:
        """Return what ``lab capabilities --json`` shows: all but the schema, which a list of names stands for."""
        shown = self.to_json()
        del shown["schema"]
        mapping = {Device.VIRTIO_BLK.value: self.has_mapping(Device.VIRTIO_BLK)}
        mapping[Device.VIRTIO_SCSI.value] = self.has_mapping(Device.VIRTIO_SCSI)
        return {**shown, "object_types": list(self.object_types), "iothread_vq_mapping": mapping}

    @classmethod
    def from_json(cls, value: Any) -> Capabilities:
        """Return the capabilities of a JSON object: the inverse of :meth:`to_json`.

        :raise InputError: it is not one.
        """
        try:
            return cls(
                version=str(value["version"]),
                accelerators=tuple(str(name) for name in value["accelerators"]),
                machine_types=tuple(str(name) for name in value["machine_types"]),
                cpu_models=tuple(str(name) for name in value["cpu_models"]),
                devices={str(name): tuple(map(str, listed)) for name, listed in value["devices"].items()},
                block_drivers=tuple(str(name) for name in value["block_drivers"]),
                schema={str(name): dict(entity) for name, entity in value["schema"].items()},
                tried={str(name): str(refusal) for name, refusal in value["tried"].items()},
                trace_backends=tuple(str(name) for name in value["trace_backends"]),
                scsi_dialect=Dialect(value["scsi_dialect"]) if value["scsi_dialect"] is not None else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise InputError(f"these are no capabilities: {type(err).__name__} {err}") from err


def is_left_out(refusal: str) -> bool:
    """Tell whether QEMU refused because it was built without, not because the host does not let it.

    The words are those of block/file-posix.c, of backends/hostmem.c and of the QAPI input visitor.
    """
    return any(words in refusal for words in _LEFT_OUT)


def values_of_enum(entity: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values of an enum of ``query-qmp-schema``; QEMU before 6.1 gives ``values`` only."""
    members = entity.get("members")
    return tuple(member["name"] for member in members) if members is not None else tuple(entity.get("values", ()))


def differences(baseline: Capabilities, candidate: Capabilities) -> tuple[str, ...]:
    """Return what a candidate can do that its baseline cannot, and the other way round, a sentence each."""
    return tuple(_differences(baseline, candidate))


def _differences(one: Capabilities, other: Capabilities) -> Iterator[str]:
    names = {
        "accelerator": (one.accelerators, other.accelerators),
        "machine type": (one.machine_types, other.machine_types),
        "CPU model": (one.cpu_models, other.cpu_models),
        "device": (tuple(one.devices), tuple(other.devices)),
        "block driver": (one.block_drivers, other.block_drivers),
        "object type": (one.object_types, other.object_types),
        "option": (_usable(one.tried), _usable(other.tried)),
        "trace backend": (one.trace_backends, other.trace_backends),
    }
    for kind, (before, after) in names.items():
        yield from _changes(f"the {kind}", "", before, after)
    for device in sorted(one.devices.keys() & other.devices.keys()):
        yield from _changes("", device, one.devices[device], other.devices[device])
    if one.scsi_dialect is not other.scsi_dialect and one.scsi_dialect and other.scsi_dialect:
        yield (
            f"the candidate changes what a mapping of virtio-scsi counts, from {one.scsi_dialect} to "
            f"{other.scsi_dialect} (docs/mapping.md): the same numbers mean other queues"
        )


def _changes(kind: str, device: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    gained, lost = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    lead = f"{kind} " if kind else ""
    if gained:
        yield f"the candidate adds {lead}{_listed(gained)}{f' to {device}' if device else ''}"
    if lost:
        yield f"the candidate removes {lead}{_listed(lost)}{f' from {device}' if device else ''}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


def _usable(tried: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name, refusal in tried.items() if not refusal)
