"""``[host]`` of a job file: where a guest's threads run on the host that measures."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Pin(StrEnum):
    """How threads are put on CPUs."""

    AUTO = "auto"
    """Pinned where each vCPU and each IOThread can have a CPU of its own, else not at all."""
    SHARED = "shared"
    """Pinned in any case: where CPUs run out, threads share them in the order of docs/host.md."""
    STRICT = "strict"
    """Pinned, every thread to a CPU of its own, or the experiment is refused."""
    NONE = "none"
    """Left to the host's scheduler."""


class HostTable(BaseModel):
    """``[host]``.

    :param pin: a word of :class:`Pin`, or a place for every thread: ``["vcpu0=2", "iothread0=3", "main-loop=4-5"]``.
    :param overlap: threads that are placed one by one may share CPUs.
    :param device: the host's block device that is measured, if it is not the first one of ``[machine]``: its NUMA node
        is preferred, and with ``lab run --tune`` its interrupts go to CPUs that no thread has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    pin: Pin | tuple[str, ...] = Pin.AUTO
    overlap: bool = False
    device: str | None = Field(default=None, pattern=r"^(/dev/)?[A-Za-z0-9][A-Za-z0-9/!._-]*$", max_length=200)

    @field_validator("pin", mode="before")
    @classmethod
    def _word_or_places(cls, value: Any) -> Any:
        if isinstance(value, str) and value in list(Pin):
            return Pin(value)
        if isinstance(value, list | tuple) and value and all(isinstance(place, str) for place in value):
            return tuple(value)
        raise ValueError(f"pin is one of {', '.join(Pin)}, or a list such as ['vcpu0=2', 'iothread0=3', 'main-loop=4']")

    @model_validator(mode="after")
    def _overlap_has_pins(self) -> HostTable:
        if self.overlap and isinstance(self.pin, Pin):
            raise ValueError("overlap is for threads that are placed one by one: pin = ['vcpu0=2', ...]")
        return self
