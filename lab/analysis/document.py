"""A foreign document to what it is: the one place where a wrong one is answered."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from lab.errors import InputError

D = TypeVar("D")


def validated(kind: type[D], document: Any, where: str, *, remedy: str) -> D:
    """Return a document as the model or dataclass that describes it.

    :param where: names the document in messages.
    :param remedy: what to give instead.
    :raise InputError: it is something else; the message names the first key that is wrong.
    """
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as err:
        first = err.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {key or 'the document'}: {first['msg']}", remedy=remedy) from err
