"""experiment.toml to what the analysis needs of it: what decides, and which effect matters.

The job file has many more keys (lab/experiment/job.py checks them all before the first boot). They are none of our
business here: a results folder must stay readable when the lab learns new keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lab.analysis.document import validated
from lab.analysis.names import on_one_line
from lab.errors import InputError
from lab.files import MIB, read_text_input
from lab.record import Level
from lab.units import Metric, metric_from_name

DEFAULT_EFFECT = 0.02
DEFAULT_ALPHA = 0.05
SMALLEST_EFFECT = 1e-6
"""No measurement tells less, and arithmetic would underflow long before zero."""

SMALLEST_ALPHA = 2.5e-4
"""13 blocks decide at it. Beyond 14, p is counted among 8192 patterns, so that no number of blocks decides at 1e-4."""

_LARGEST_FILE_BYTES = 16 * MIB
_DEFAULT_METRICS = ("iops",)
_REMEDY = "restore the file; it is a copy of the job"


@dataclass(frozen=True)
class Reference:
    """A published table to draw beside ours.

    :param table: name of a file in results/reference/, without its ending.
    :param factor: our factor that the table's first column stands for.
    """

    table: str
    factor: str


@dataclass(frozen=True)
class Question:
    """What was asked before the first boot.

    :param metrics: those that decide the verdict; all others are shown.
    :param smallest_effect: smallest relative change that matters (0.02 is 2 %), for metrics that ``effects`` lacks.
    :param effects: the same for single metrics.
    :param alpha: the chance of a false alarm at any point that is accepted.
    :param factors: levels in the order of the job file; empty where nobody said (a CSV file).
    :param known_verdict: what the demonstration series must get; empty for every other series.
    :param command: what was typed to begin the experiment; empty where nobody knows.
    :param series: what the user called the series.
    :param chosen: (name, value) of what else was chosen on the call: profile, seed, and so on.
    :param blocks: how many were scheduled; 0 where nobody said.
    :param settings: what was measured, (name, value) by sorted name: machine, fio job, times. Never interpreted here:
        results whose settings differ are not compared with each other.
    """

    title: str
    question: str = ""
    metrics: tuple[Metric, ...] = ()
    smallest_effect: float = DEFAULT_EFFECT
    effects: Mapping[str, float] = field(default_factory=dict)
    alpha: float = DEFAULT_ALPHA
    factors: Mapping[str, tuple[Level, ...]] = field(default_factory=dict)
    reference: Reference | None = None
    known_verdict: str = ""
    command: str = ""
    series: str = ""
    chosen: tuple[tuple[str, str], ...] = ()
    blocks: int = 0
    settings: tuple[tuple[str, str], ...] = ()

    def effect_of(self, metric: Metric) -> float:
        """Return the smallest relative change of a metric that matters."""
        return self.effects.get(metric.name, self.smallest_effect)


_Effect = Annotated[float, Field(ge=SMALLEST_EFFECT, lt=1)]


class _Judge(BaseModel):
    metrics: tuple[str, ...] = Field(default=_DEFAULT_METRICS, min_length=1)
    smallest_effect: _Effect | dict[str, _Effect] = DEFAULT_EFFECT
    alpha: float = Field(default=DEFAULT_ALPHA, ge=SMALLEST_ALPHA, lt=0.5)


class _Reference(BaseModel):
    table: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    factor: str


class _Call(BaseModel):
    """``[experiment]``, which the lab appends to the job file: what was chosen on the call."""

    known_verdict: Literal["", "REGRESSED", "IMPROVED", "NO_CHANGE_DETECTED"] = ""
    command: str = ""
    series: str = ""
    job: str = ""
    profile: str = ""
    seed: int | None = None
    blocks: int = Field(default=0, ge=0)
    fio: str = ""
    image: str = ""
    control: str = ""
    candidate_latency_ns: int = 0


class _Job(BaseModel):
    model_config = ConfigDict(extra="ignore")

    title: str
    question: str = ""
    factors: dict[str, tuple[bool | int | float | str, ...]] = Field(default_factory=dict)
    judge: _Judge = _Judge()
    reference: _Reference | None = None
    experiment: _Call = _Call()


def read_question(path: Path) -> Question:
    """Read what was asked from a copy of a job file.

    :raise InputError: it cannot be read, is not TOML, or a key that matters here is wrong.
    """
    try:
        tree = tomllib.loads(read_text_input(path, limit_bytes=_LARGEST_FILE_BYTES))
    except (ValueError, RecursionError) as err:  # ValueError: no TOML, or a number of thousands of digits
        raise InputError(f"{path}: {err}", remedy=_REMEDY) from err
    return question_from_toml(tree, str(path))


def question_from_toml(tree: Mapping[str, Any], where: str) -> Question:
    """Return the question of a parsed job file.

    :param where: names the file in messages.
    :raise InputError: a key that matters here is wrong.
    """
    raw = validated(_Job, tree, where, remedy=_REMEDY)
    effect, call = raw.judge.smallest_effect, raw.experiment
    chosen = {"job": call.job, "profile": call.profile, "seed": call.seed}
    return Question(
        title=on_one_line(raw.title),
        question=raw.question.strip(),
        metrics=tuple(metric_from_name(name) for name in raw.judge.metrics),
        smallest_effect=DEFAULT_EFFECT if isinstance(effect, dict) else effect,
        effects=effect if isinstance(effect, dict) else {},
        alpha=raw.judge.alpha,
        factors=dict(raw.factors),
        reference=Reference(raw.reference.table, raw.reference.factor) if raw.reference else None,
        known_verdict=call.known_verdict,
        command=call.command,
        series=on_one_line(call.series),
        chosen=tuple((name, str(value)) for name, value in chosen.items() if value not in ("", None)),
        blocks=call.blocks,
        settings=tuple(sorted(_settings(tree, call))),
    )


def _settings(tree: Mapping[str, Any], call: _Call) -> Iterator[tuple[str, str]]:
    """Yield what must be equal for values to be comparable; the number of blocks is not among it."""
    yield from _flat("machine", tree.get("machine", {}))
    yield from _flat("scenario", tree.get("scenario", {}))
    yield from _flat("factors", tree.get("factors", {}))
    profiles = tree.get("profile")
    profile = profiles.get(call.profile) if isinstance(profiles, Mapping) else None
    if isinstance(profile, Mapping):
        yield from _flat("profile", {name: value for name, value in profile.items() if name != "blocks"})
    for name, text in (("fio", call.fio or str(tree.get("fio", ""))), ("image", call.image)):
        yield name, text
    for name, text in (("control", call.control), ("candidate_latency_ns", str(call.candidate_latency_ns or ""))):
        if text:
            yield name, text


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, str(value)
