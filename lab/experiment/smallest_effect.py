"""``smallest_effect`` of a job: one fraction for all metrics, or a table of metric = fraction."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from lab.experiment.nearest import nearest
from lab.units import METRICS

DEFAULT_SMALLEST_EFFECT = 0.02
_SMALLEST = 1e-6
"""As in lab/analysis/question.py, which reads the value back: no measurement tells less."""


def checked_effect(value: Any) -> float | dict[str, float]:
    """Return a smallest effect, or one for each metric of a table; metrics that it lacks have the default.

    :raise ValueError: a metric is not known, or an effect is no fraction; pydantic makes it a mistake of the job file.
    """
    if not isinstance(value, dict):
        return _fraction(value)
    for name in value:
        if name not in METRICS:
            raise ValueError(f"there is no metric '{name}'{nearest(name, METRICS)}")
    return {name: _fraction(effect) for name, effect in value.items()}


def _fraction(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _SMALLEST <= value < 1:
        raise ValueError(f"{value!r} is not a fraction between {_SMALLEST:g} and 1; 0.02 is 2 %")
    return float(value)


_SCHEMA = {"type": "number", "minimum": _SMALLEST, "exclusiveMaximum": 1}
SmallestEffect = Annotated[
    float | dict[str, float],
    PlainValidator(checked_effect),
    WithJsonSchema({"anyOf": [_SCHEMA, {"type": "object", "additionalProperties": _SCHEMA}]}),
]
