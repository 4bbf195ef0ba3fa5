"""Run records to a tidy frame (one row per ok run and metric), and the frame to pairs.

One boot is one observation. A pair is the two runs of a point in one block: the same minutes, the same host. Where a
run was tried again, the last ok attempt counts; the others stay on record and are counted in the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.record import Arm, Outcome, Point, RunRecord

Array = NDArray[np.float64]
_LARGEST_LOG = 300.0
"""Values read from a file may be absurd; their ratio must still have an exponential."""


@dataclass(frozen=True)
class Pairs:
    """All values of one metric, lined up.

    Arrays are blocks x points; NaN where there is no ok run (or no such metric in it).

    :param blocks: the numbers of the blocks, ascending: one per row.
    :param points: one per column.
    :param alike: whether both runs of a pair were made on the same host with the same accelerator.
    :param host_names: all hosts of the frame.
    :param hosts: fingerprint of the host of each baseline run, of the candidate where the baseline is missing.
    :param runs: per arm the id of each run, an empty string where there is none.
    """

    blocks: tuple[int, ...]
    points: tuple[Point, ...]
    baseline: Array
    candidate: Array
    alike: NDArray[np.bool_]
    host_names: tuple[str, ...]
    hosts: NDArray[np.str_]
    runs: dict[Arm, NDArray[np.str_]]

    def log_ratios(self) -> Array:
        """Return log(candidate / baseline) of each pair; NaN without a pair, or with a value that has no logarithm."""
        good = self.alike & (self.baseline > 0) & (self.candidate > 0)
        ratios = np.full(self.baseline.shape, np.nan)
        ratios[good] = np.log(self.candidate[good]) - np.log(self.baseline[good])
        return np.asarray(np.clip(ratios, -_LARGEST_LOG, _LARGEST_LOG), dtype=np.float64)


def frame_from_records(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return one row per ok run and metric, in the order of the records.

    Columns: metric, point (its id), block, arm, host, accelerator, run (its id), order (index of the record), value.
    Of several ok attempts at one scheduled run only the last has rows.
    """
    last: dict[str, tuple[int, RunRecord]] = {}
    for order, record in enumerate(records):
        if record.outcome is Outcome.OK:
            last[record.scheduled.id] = (order, record)
    chosen = [record for _, record in last.values()]
    counts = np.array([len(record.metrics) for record in chosen], dtype=np.intp)

    def spread(values: list[int]) -> NDArray[np.int64]:
        return np.repeat(np.array(values, dtype=np.int64), counts)

    def words(values: list[str]) -> pd.Categorical:
        codes, names = pd.factorize(np.array(values, dtype=object), sort=True)
        return pd.Categorical.from_codes(np.repeat(codes, counts), categories=pd.Index(names))

    scheduled = [record.scheduled for record in chosen]
    return pd.DataFrame(
        {
            "metric": _metric_names(chosen),
            "point": words([run.cell.point.id for run in scheduled]),
            "block": spread([run.block for run in scheduled]),
            "arm": words([run.cell.arm.value for run in scheduled]),
            "host": words([record.host for record in chosen]),
            "accelerator": words([record.accelerator for record in chosen]),
            "run": np.repeat(np.array([record.id for record in chosen], dtype=object), counts),
            "order": spread([order for order, _ in last.values()]),
            "value": np.array([value for record in chosen for value in record.metrics.values()], dtype=np.float64),
        },
    )


def _metric_names(records: Sequence[RunRecord]) -> pd.Categorical[str]:
    """Return the names of all values, looked up once for all records that have the same ones."""
    shapes = [tuple(record.metrics) for record in records]
    names = sorted({name for shape in set(shapes) for name in shape})
    places = {name: place for place, name in enumerate(names)}
    codes = {shape: [places[name] for name in shape] for shape in set(shapes)}
    return pd.Categorical.from_codes([code for shape in shapes for code in codes[shape]], categories=pd.Index(names))


def pairs_from_frame(frame: pd.DataFrame, metric: str, points: tuple[Point, ...], blocks: tuple[int, ...]) -> Pairs:
    """Line up the values of one metric.

    :param points: the columns of the result; points without a row in the frame become columns of NaN.
    :param blocks: the rows, ascending; every block of the frame must be among them.
    """
    rows = frame[frame["metric"] == metric]
    shape = (len(blocks), len(points))
    places = {point.id: column for column, point in enumerate(points)}
    row = np.searchsorted(np.asarray(blocks, dtype=np.int64), rows["block"].to_numpy())
    column = rows["point"].map(places).to_numpy(dtype=np.int64)

    def spread(arm: Arm, name: str) -> NDArray[np.str_]:
        chosen = (rows["arm"] == arm.value).to_numpy()
        filled = np.full(shape, "", dtype=object)
        filled[row[chosen], column[chosen]] = rows[name].to_numpy(dtype=object)[chosen]
        return filled.astype(np.str_)

    def values(arm: Arm) -> Array:
        chosen = (rows["arm"] == arm.value).to_numpy()
        filled = np.full(shape, np.nan)
        filled[row[chosen], column[chosen]] = rows["value"].to_numpy()[chosen]
        return filled

    hosts = {arm: spread(arm, "host") for arm in Arm}
    accelerators = {arm: spread(arm, "accelerator") for arm in Arm}
    return Pairs(
        blocks=blocks,
        points=points,
        baseline=values(Arm.BASELINE),
        candidate=values(Arm.CANDIDATE),
        alike=(hosts[Arm.BASELINE] == hosts[Arm.CANDIDATE])
        & (accelerators[Arm.BASELINE] == accelerators[Arm.CANDIDATE]),
        host_names=tuple(sorted(map(str, frame["host"].unique()))),
        hosts=np.where(hosts[Arm.BASELINE] == "", hosts[Arm.CANDIDATE], hosts[Arm.BASELINE]),
        runs={arm: spread(arm, "run") for arm in Arm},
    )
