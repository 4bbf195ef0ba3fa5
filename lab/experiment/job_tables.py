"""The tables of a job file as validated models: which keys there are, what they may hold, which may be varied.

What one key may hold is checked here. What only makes sense together, such as an ``aio`` and its driver, is checked
when the machine of a cell is made (machines.py, disks.py), because a level of a factor may bring either.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lab.errors import InputError
from lab.experiment.job_host import HostTable
from lab.experiment.nearest import nearest
from lab.experiment.smallest_effect import DEFAULT_SMALLEST_EFFECT, SmallestEffect
from lab.machine.backend import Aio, Cache
from lab.machine.mapping import Device
from lab.machine.spec import MemoryPolicy, ScsiDisk
from lab.record import Level
from lab.scenario.catalogue import SCENARIOS
from lab.scenario.metrics import SCENARIO_METRICS, metrics_of_scenario
from lab.units import COUNTED, METRICS
from lab.workload.fio_job import check_option_name
from lab.workload.fio_options import canonical_name

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
PathText = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=1000)]

_MOST_POINTS = 1000


class Table(BaseModel):
    """What all tables share: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BackendTable(Table):
    """``[machine.backend]`` and ``[[machine.controller.disk]]``: where requests end.

    Every key may be a factor but for those in ``BACKEND_NAMES``, which say whose disk it is.
    """

    driver: Literal["null-co", "null-aio", "raw", "qcow2", "host_device", "nvme", "nbd"] = "null-co"
    size_gib: int | None = Field(default=None, ge=1, le=1 << 20)
    latency_ns: int = Field(default=0, ge=0, le=10**10)
    read_zeroes: bool = False
    aio: Aio | None = Field(default=None, strict=False)
    cache: Cache | None = Field(default=None, strict=False)
    cluster_kib: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048] | None = None
    scsi: ScsiDisk = Field(default=ScsiDisk.HD, strict=False)
    throttle_iops: int = Field(default=0, ge=0, le=10**9)
    throttle_mib_s: int = Field(default=0, ge=0, le=10**6)
    blkdebug_align: Literal[512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] | None = None
    blkdebug_max_transfer_kib: int | None = Field(default=None, ge=64, le=1 << 20)
    path: PathText | None = None
    pci_address: str | None = Field(default=None, pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
    namespace: int = Field(default=1, ge=1, le=1 << 16)
    address: PathText | None = None
    export: str = Field(default="", pattern=r"^[\x20-\x7e]*$", max_length=1000)
    destructive: bool = False
    force_device: PathText | None = None


class ControllerTable(Table):
    """``[[machine.controller]]``: one controller; a key that is not given is that of ``[machine]``."""

    device: Device | None = Field(default=None, strict=False)
    num_queues: int | None = Field(default=None, ge=1, le=1024)
    queue_size: int | None = Field(default=None, ge=2, le=1024)
    mapping: str | None = None
    disks: int | None = Field(default=None, ge=1, le=26)
    disk: tuple[BackendTable, ...] = Field(default=(), max_length=26, strict=False)


class MachineTable(Table):
    """``[machine]``: the guest and its storage. Every plain key may also be a factor."""

    device: Device = Field(default=Device.VIRTIO_SCSI, strict=False)
    vcpus: int = Field(default=4, ge=1, le=256)
    sockets: int | None = Field(default=None, ge=1, le=256)
    cores: int | None = Field(default=None, ge=1, le=256)
    threads: int | None = Field(default=None, ge=1, le=256)
    machine_type: str = Field(default="q35", pattern=r"^(q35|pc|pc-(q35|i440fx)-[0-9.]{1,10})$")
    memory_mib: int = Field(default=1024, ge=256, le=1 << 22)
    hugepages: Literal["off", "2M", "1G"] = "off"
    memory_prealloc: bool = False
    memory_share: bool = False
    memory_folder: str | None = Field(default=None, pattern=r"^/dev/(shm|hugepages[A-Za-z0-9_-]{0,20})$")
    numa_nodes: str | None = Field(default=None, pattern=r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?){0,15}$")
    numa_policy: MemoryPolicy | None = Field(default=None, strict=False)
    controllers: int | None = Field(default=None, ge=1, le=26)
    disks: int | None = Field(default=None, ge=1, le=26)
    num_queues: int | None = Field(default=None, ge=1, le=1024)
    queue_size: int | None = Field(default=None, ge=2, le=1024)
    iothreads: int = Field(default=1, ge=0, le=64)
    mapping: str = "round-robin"
    poll_max_ns: int | None = Field(default=None, ge=0, le=10**9)
    poll_grow: int | None = Field(default=None, ge=0, le=10**9)
    poll_shrink: int | None = Field(default=None, ge=0, le=10**9)
    aio_max_batch: int | None = Field(default=None, ge=0, le=1 << 20)
    cpu_model: str = Field(default="auto", pattern=r"^[A-Za-z0-9_.,+=-]+$")
    kernel_arguments: str = Field(default="", pattern=r"^[\x20-\x7e]*$")
    haltpoll: bool = False
    scheduler: Literal["none", "mq-deadline", "kyber", "bfq"] | None = None
    backend: BackendTable = BackendTable()
    controller: tuple[ControllerTable, ...] = Field(default=(), max_length=26, strict=False)


BACKEND_NAMES = frozenset({"path", "pci_address", "namespace", "address", "export", "destructive", "force_device"})
BACKEND_FACTORS = frozenset(BackendTable.model_fields) - BACKEND_NAMES
MACHINE_FACTORS = frozenset(MachineTable.model_fields) - {"backend", "controller"}
NOT_VARIED = {
    "runtime": "the profile says how long is measured",
    "ramp_time": "the profile says how long is not measured",
    "time_based": "the profile says how long is measured",
    "randseed": "each run has a seed of its own, from the schedule",
}


class JudgeTable(Table):
    """``[judge]``: what decides the verdict."""

    metrics: tuple[str, ...] = Field(default=("iops",), min_length=1, strict=False)
    smallest_effect: SmallestEffect = DEFAULT_SMALLEST_EFFECT
    alpha: float = Field(default=0.05, ge=2.5e-4, lt=0.5)

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in METRICS:
                raise ValueError(f"there is no metric '{name}'{nearest(name, METRICS)}")
        if len(set(names)) < len(names):
            raise ValueError("a metric is named twice")  # each would be one test more to allow for
        return names


class ScenarioTable(Table):
    """``[scenario]``: what is done to the guest while it is loaded (docs/scenarios.md).

    :param times: how often, in one boot.
    """

    name: str
    times: int = Field(default=1, ge=1, le=1000)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in SCENARIOS:
            raise ValueError(f"there is no scenario '{name}'{nearest(name, SCENARIOS)}")
        return name


class ReferenceTable(Table):
    """``[reference]``: a published table drawn beside ours."""

    table: Name
    factor: str


class DemonstrationTable(Table):
    """``[demonstration]``: the series that is used when none is given, and the verdict it must get."""

    series: str
    known_verdict: Literal["REGRESSED", "IMPROVED", "NO_CHANGE_DETECTED"]


class ProfileTable(Table):
    """``[profile.NAME]``: how much time is spent.

    :param blocks: every cell once per block; below 6 no verdict is possible at alpha 0.05 (docs/method.md).
    :param runtime_s: fio's ``runtime``.
    :param ramp_time_s: fio's ``ramp_time``, not measured.
    """

    blocks: int = Field(ge=1, le=1000)
    runtime_s: int = Field(ge=1, le=86400)
    ramp_time_s: int = Field(default=0, ge=0, le=3600)


class Job(Table):
    """A whole job file.

    :param tier: ``guest`` boots one; ``qtest`` loads QEMU without (docs/qtest-tier.md).
    """

    title: str = Field(min_length=1, max_length=120)
    question: str = ""
    fio: str
    tier: Literal["guest", "qtest"] = "guest"
    image: Name = "default"
    default_profile: Name = "quick"
    machine: MachineTable = MachineTable()
    host: HostTable = HostTable()
    factors: dict[str, tuple[Level, ...]] = Field(default_factory=dict, strict=False)
    judge: JudgeTable = JudgeTable()
    scenario: ScenarioTable | None = None
    reference: ReferenceTable | None = None
    demonstration: DemonstrationTable | None = None
    profile: dict[Name, ProfileTable] = Field(min_length=1)

    @field_validator("factors", mode="before")
    @classmethod
    def _levels(cls, value: Any) -> dict[str, tuple[Level, ...]]:
        if not isinstance(value, dict):
            raise ValueError("factors is a table of name = [level, ...]")  # noqa: TRY004 - pydantic wants ValueError
        names = [canonical_name(name) for name in value]
        if len(set(names)) < len(names):
            raise ValueError("two factors are two names of one option of fio")
        if math.prod(len(levels) for levels in value.values() if isinstance(levels, list)) > _MOST_POINTS:
            raise ValueError(f"the factors make more than {_MOST_POINTS} points")
        return {name: _checked_levels(name, levels) for name, levels in value.items()}

    @model_validator(mode="after")
    def _default_profile_exists(self) -> Job:
        if self.default_profile not in self.profile:
            known = ", ".join(self.profile)
            raise ValueError(f"default_profile '{self.default_profile}' is not one of: {known}")
        return self

    @model_validator(mode="after")
    def _judged_is_measured(self) -> Job:
        scenario = None if self.scenario is None else SCENARIOS[self.scenario.name]
        measured = set(METRICS) - set(SCENARIO_METRICS) if scenario is None else set(metrics_of_scenario(scenario))
        missing = next((name for name in self.judge.metrics if name not in measured), None)
        if missing is not None and scenario is None:
            raise ValueError(f"[judge] metric '{missing}' is measured with a [scenario] only")
        if COUNTED in self.judge.metrics and self.tier == "guest":
            raise ValueError(f"[judge] metric '{COUNTED}' is counted without a guest only: write tier = \"qtest\"")
        if missing is not None and self.scenario is not None:
            known = ", ".join(sorted(measured))
            raise ValueError(f"[judge] metric '{missing}' is none of scenario {self.scenario.name}'s: {known}")
        if scenario is not None and not scenario.repeatable and self.scenario and self.scenario.times > 1:
            raise ValueError(f"scenario {self.scenario.name} cannot be done more than once in a boot")
        return self

    @model_validator(mode="after")
    def _factors_have_an_effect(self) -> Job:
        for name in self.factors:
            if name in hidden_keys(self.machine):
                raise ValueError(
                    f"factor '{name}' has no effect: every [[machine.controller]] says it itself, or has no use for it"
                )
        return self


def hidden_keys(machine: MachineTable) -> frozenset[str]:
    """Return the keys of ``[machine]`` and ``[machine.backend]`` that the controllers' tables leave without use."""
    if not machine.controller:
        return frozenset()
    said = [frozenset(table.model_fields_set) for table in machine.controller]
    in_all = frozenset.intersection(*said) & MACHINE_FACTORS
    disks = [table.disk for table in machine.controller]
    in_disks = (
        frozenset.intersection(*(frozenset(disk.model_fields_set) for listed in disks for disk in listed))
        if all(disks)
        else frozenset()
    )
    return in_all | (in_disks & BACKEND_FACTORS) | {"controllers", "disks"}


def _checked_levels(name: str, levels: Any) -> tuple[Level, ...]:
    if not isinstance(levels, list) or not levels:
        raise ValueError(f"factor '{name}' needs a list of levels, for example {name} = [1, 2, 4]")
    if any(level in levels[:place] for place, level in enumerate(levels)):  # 1 and true are one level to Python
        raise ValueError(f"factor '{name}' names a level twice")
    if name in MACHINE_FACTORS or name in BACKEND_FACTORS:
        table: type[Table] = MachineTable if name in MACHINE_FACTORS else BackendTable
        for level in levels:
            table.model_validate({name: level})
        return tuple(levels)
    if name in BACKEND_NAMES:
        raise ValueError(f"'{name}' is no factor: it says whose disk it is")
    if canonical_name(name) in NOT_VARIED:
        raise ValueError(f"'{name}' is no factor: {NOT_VARIED[canonical_name(name)]}")
    try:
        check_option_name(name)
    except InputError as err:
        known = ", ".join(sorted(MACHINE_FACTORS | BACKEND_FACTORS))
        hint = nearest(name, MACHINE_FACTORS | BACKEND_FACTORS)
        raise ValueError(f"'{name}' is no factor{hint}: machine factors are {known}; {err.message}") from err
    for level in levels:
        if not isinstance(level, str | int | float | bool) or not str(level).isprintable() or not _is_finite(level):
            raise ValueError(f"level {level!r} of '{name}' is not a finite number, a string or a truth value")
    return tuple(levels)


def _is_finite(level: Level) -> bool:
    return isinstance(level, str) or level == 0 or 1e-18 <= abs(level) < 1e18  # as analysis/results.py reads them
