"""What is known of a host's noise: its false alarms, the smallest change that is caught, and what a rebuild moves.

``lab calibrate`` measures it and keeps it as one JSON file per host, accelerator, job and profile; here it is read.
How the numbers come about: lab/analysis/calibrate.py and docs/calibration.md.

Format history of the file:

1. first version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lab.analysis.alike import SOFTWARE
from lab.analysis.document import validated
from lab.analysis.question import Question
from lab.analysis.results import Results
from lab.errors import InputError
from lab.files import MIB, read_input
from lab.settings import state_path
from lab.units import text_from_signed

FORMAT = 1
_LARGEST_FILE_BYTES = 16 * MIB

_OF_CAMPAIGNS = ("control", "candidate_latency_ns")
"""What campaigns of a calibration have, and ordinary experiments do not."""

_OF_JOBS = ("machine.", "scenario.", "factors.", "profile.", "judge.")
_TUNING = ("usable_cpus", "governors", "turbo", "transparent_hugepages", "hypervisor")
"""What of the host changes noise and is not part of its fingerprint."""

_Share = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Target:
    """What a calibration holds for; runs of anything else say nothing about it.

    :param host: fingerprint, which includes the kernel.
    """

    host: str
    accelerator: str
    job: str
    profile: str


@dataclass(frozen=True)
class PointNoise:
    """The noise of one metric at one point, from A/A runs.

    :param pairs: how many pairs it rests on.
    :param spread: standard deviation of log(candidate / baseline) of a pair.
    :param smallest_change: smallest relative loss that is caught in 80 % of experiments of the calibration's size; None
        where no loss of up to three spreads and twice the smallest effect is.
    """

    point: str
    metric: str
    pairs: int
    spread: _Positive
    smallest_change: _Positive | None


@dataclass(frozen=True)
class Shift:
    """What a campaign of a known kind moved at one point.

    :param kind: ``rebuild`` (the base, built again from nothing), ``latency`` (added to the candidate's backend) or
        ``patch`` (a series of known cost).
    :param latency_ns: what was added to the backend.
    :param change: relative change, with the ends of its interval.
    :param folder: name of the results folder.
    """

    kind: str
    latency_ns: int
    point: str
    metric: str
    change: _Finite
    low: _Finite
    high: _Finite
    verdict: str
    folder: str


@dataclass(frozen=True)
class Calibration:
    """What is known of a host's noise for one job.

    :param measured_at: UTC, ISO 8601.
    :param blocks: size of the experiments that rates and smallest changes hold for.
    :param campaigns: A/A experiments of that size that were really run, one after the other.
    :param alarms: how many of them raised an alarm.
    :param false_alarm_rate: share of resampled experiments without a difference that raise an alarm at any point.
    :param false_alarm_low: 95 % interval of that rate, over which blocks happened to be measured.
    :param false_alarm_high: likewise.
    :param shifts: what rebuilds and injected slowdowns moved.
    :param folders: names of the results folders it was made from.
    :param conditions: under which it was measured (:func:`conditions_of`).
    """

    target: Target
    measured_at: str
    alpha: _Share
    blocks: Annotated[int, Field(ge=1)]
    campaigns: Annotated[int, Field(ge=0)]
    alarms: Annotated[int, Field(ge=0)]
    false_alarm_rate: _Share
    false_alarm_low: _Share
    false_alarm_high: _Share
    noise: tuple[PointNoise, ...]
    shifts: tuple[Shift, ...]
    folders: tuple[str, ...]
    conditions: tuple[tuple[str, str], ...]

    @property
    def smallest_change(self) -> float | None:
        """Return the smallest relative change that is caught at every point; None where there is none."""
        changes = [noise.smallest_change for noise in self.noise]
        known = [change for change in changes if change is not None]
        return max(known) if known and len(known) == len(changes) else None

    @property
    def layout_noise(self) -> float | None:
        """Return the largest relative change that building the same source again made; None where nobody built."""
        return max((abs(shift.change) for shift in self.shifts if shift.kind == "rebuild"), default=None)

    def spread_of(self, point: str, metric: str) -> float | None:
        """Return the spread of a pair's log ratio at a point; None where it was not measured."""
        return next((one.spread for one in self.noise if (one.point, one.metric) == (point, metric)), None)


def conditions_of(results: Results) -> tuple[tuple[str, str], ...]:
    """Return what noise and false alarms depend on beside host, job and profile by name: settings, question, tuning."""
    host = [(f"host.{name}", json.dumps(results.host.get(name), sort_keys=True)) for name in (*_TUNING, *SOFTWARE)]
    return (*_asked(results.question), *host)


def _asked(question: Question) -> tuple[tuple[str, str], ...]:
    settings = [(name, text) for name, text in question.settings if name not in _OF_CAMPAIGNS]
    judged = [(f"judge.{metric.name}", f"{question.effect_of(metric):g}") for metric in question.metrics]
    return (*settings, ("judge.alpha", f"{question.alpha:g}"), *judged)


def changed_since(calibration: Calibration, question: Question) -> tuple[str, ...]:
    """Return which keys of a job were changed since its calibration, sorted.

    :param question: as the job file has it, its profile chosen; what is only known of a run is left out.
    """
    then, now = (
        {name: text for name, text in pairs if name.startswith(_OF_JOBS)}
        for pairs in (calibration.conditions, _asked(question))
    )
    return tuple(sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name)))


def why_stale(calibration: Calibration, results: Results) -> str:
    """Return why a calibration says nothing about results of the same host, job and profile; empty where it does."""
    then, now = dict(calibration.conditions), dict(conditions_of(results))
    changed = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if "host.guest_image" in changed and "image" in changed:
        changed.remove("image")  # on record twice
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return f"the calibration of {calibration.measured_at[:10]} had another {', '.join(changed[:3])}{more}"
    if {record.host for record in results.records} - {calibration.target.host}:
        return "runs of other hosts are among these, whose noise the calibration does not know"
    if results.controls is not None:
        return "the arms were measured in two sessions, and calibrations are about one"
    return ""


def target_of(results: Results) -> Target | None:
    """Return what a calibration must hold for to say something about results; None where they do not say it."""
    chosen = dict(results.question.chosen)
    host, job, profile = results.host.get("fingerprint"), chosen.get("job"), chosen.get("profile")
    if not isinstance(host, str) or not job or not profile:
        return None
    return Target(host, results.tier, job, profile)


def path_of(target: Target) -> Path:
    """Return where the calibration of a target is kept; there may be none."""
    key = hashlib.sha256(json.dumps(asdict(target), sort_keys=True).encode()).hexdigest()[:24]
    return state_path("calibrations", f"{key}.json")


def calibration_for(target: Target) -> Calibration | None:
    """Return the stored calibration of a target, None where there is none.

    :raise InputError: the file is damaged.
    """
    path = path_of(target)
    return read_calibration(path) if path.exists() else None


def calibration_of(results: Results) -> Calibration | None:
    """Return what is known of the noise of the host that made these results, for their job; None where nothing is.

    :raise InputError: the file is damaged.
    """
    target = target_of(results)
    return None if target is None else calibration_for(target)


def read_calibration(path: Path) -> Calibration:
    """Read the JSON form of a calibration.

    :raise InputError: it cannot be read, or is not one.
    """
    remedy = "remove the file and run 'lab calibrate' again"
    try:
        value = json.loads(read_input(path, limit_bytes=_LARGEST_FILE_BYTES))
        if not isinstance(value, dict) or value.pop("format", None) != FORMAT:
            raise InputError(f"{path} is not a calibration of format {FORMAT}", remedy=remedy)
        return validated(Calibration, value, str(path), remedy=remedy)
    except (ValueError, RecursionError) as err:
        raise InputError(f"{path} is not JSON: {err}", remedy=remedy) from err


def text_from_calibration(calibration: Calibration) -> str:
    """Return the JSON form of a calibration, ``format`` first."""
    return json.dumps({"format": FORMAT, **asdict(calibration)}, indent=2, allow_nan=False) + "\n"


def calibration_sentence(calibration: Calibration | None, stale: str = "") -> str:
    """Return what a report says of the calibration, in one sentence without its full stop.

    :param stale: why there is one, but not for these results.
    """
    if stale:
        return f"uncalibrated: {stale}"
    if calibration is None:
        return "uncalibrated: false alarms of this host have not been measured ('lab calibrate JOB' does)"
    return (
        f"calibrated {calibration.measured_at[:10]} for {calibration.blocks} blocks: false alarms "
        f"[{100 * calibration.false_alarm_low:.1f}, {100 * calibration.false_alarm_high:.1f}] % "
        f"({100 * calibration.false_alarm_rate:.1f} % by resampling, which errs upwards), {calibration.alarms} of "
        f"{calibration.campaigns} real A/A experiments; {_caught(calibration)}; {_moved(calibration)}"
    )


def _caught(calibration: Calibration) -> str:
    """Return what is said of the smallest loss that is caught, and where none is."""
    smallest = calibration.smallest_change
    if smallest is not None:
        return f"a loss of {100 * smallest:.1f} % is caught in 80 % of experiments"
    deaf = [noise for noise in calibration.noise if noise.smallest_change is None]
    where = f" at {len(deaf)} of {len(calibration.noise)} points" if len(deaf) < len(calibration.noise) else ""
    return f"no change is caught in 80 % of experiments{where}"


def _moved(calibration: Calibration) -> str:
    """Return what is said of a rebuild: a change whose interval holds 0 may as well be noise."""
    rebuilds = [shift for shift in calibration.shifts if shift.kind == "rebuild"]
    if not rebuilds:
        return "what building the same source again moves was not measured"
    sure = [abs(shift.change) for shift in rebuilds if not shift.low <= 0 <= shift.high]
    if sure:
        return f"building the same source again moved the result by {100 * max(sure):.1f} %"
    largest = max(rebuilds, key=lambda shift: abs(shift.change))
    low, high = (text_from_signed(100 * end) for end in (largest.low, largest.high))
    return f"building the same source again moved the result by nothing that can be told from noise ([{low}, {high}] %)"
