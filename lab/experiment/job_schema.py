"""The models of a job file to a JSON schema for editors: completion, and mistakes underlined while one types.

The schema says what one key may hold. What only makes sense together is said by ``lab job check``.
"""

from __future__ import annotations

import json
from typing import Any

from lab.experiment.job_tables import BACKEND_FACTORS, MACHINE_FACTORS, BackendTable, Job, MachineTable, Table


def schema_text() -> str:
    """Return the schema as the file has it."""
    return json.dumps(job_schema(), indent=2, sort_keys=True) + "\n"


def job_schema() -> dict[str, Any]:
    """Return the schema of a job file (JSON Schema 2020-12, what pydantic writes)."""
    schema: dict[str, Any] = _without_null(Job.model_json_schema())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Job file of the QEMU patch lab"
    schema["properties"]["factors"] = _factors(schema["$defs"])
    return schema


def _factors(definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of ``[factors]``: lists of what the key itself may hold, and lists of options of fio."""
    tables: tuple[tuple[type[Table], frozenset[str]], ...] = (
        (MachineTable, MACHINE_FACTORS),
        (BackendTable, BACKEND_FACTORS),
    )
    levels = {name: definitions[table.__name__]["properties"][name] for table, names in tables for name in names}
    return {
        "title": "Factors",
        "description": "A key of [machine] or of its backend, or an option of fio; each combination is a point.",
        "type": "object",
        "properties": {name: _levels(_without_default(level)) for name, level in levels.items()},
        "additionalProperties": _levels({"type": ["string", "number", "boolean"]}),
    }


def _levels(one: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}


def _without_default(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("default", "title")}


def _without_null(schema: Any) -> Any:
    """Return a schema in which nothing may be null: TOML has no word for it, a key is left out instead."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {
        key: _without_null(value)
        for key, value in schema.items()
        if key != "anyOf" and not (key == "default" and value is None)
    }
    if len(choices) == 1:
        return rest | _without_null(choices[0])
    return rest | ({"anyOf": _without_null(choices)} if choices else {})
