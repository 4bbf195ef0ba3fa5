"""The proofs in a results folder to what the pictures of them show: which thread served which queue of a cell."""

from __future__ import annotations

import json
from pathlib import Path

from lab.errors import InputError
from lab.report.charts import ThreadMatrix, threads_from_json
from lab.report.folder import evidence_text, folder_names

_PARENT, _FILE = "proofs", "proof.json"
_LARGEST_FILE_BYTES = 4_000_000


def stored_proofs(results: Path) -> dict[str, ThreadMatrix]:
    """Return the proofs by the cell they were made for; cells that have the same machine share one.

    :param results: the results folder; links in it are not followed.
    :raise InputError: a proof is damaged.
    """
    found = {}
    for name in folder_names(results / _PARENT):
        text = evidence_text(results, name, _FILE, limit_bytes=_LARGEST_FILE_BYTES, parent=_PARENT)
        if text is None:
            continue  # its guest did not boot, and the runs say so
        where = str(results / _PARENT / name / _FILE)
        try:
            found[name] = threads_from_json(json.loads(text), where)
        except (ValueError, RecursionError) as err:
            raise InputError(f"{where} is not JSON: {err}", remedy="the file was edited or damaged: remove it") from err
    return found
