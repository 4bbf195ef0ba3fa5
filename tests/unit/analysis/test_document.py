"""A foreign document to what it is."""

import pytest
from pydantic import BaseModel

from lab.analysis.document import validated
from lab.errors import InputError


class _Two(BaseModel):
    numbers: tuple[int, ...]


def test_a_document_that_fits_is_taken() -> None:
    """As the model describes it."""
    assert validated(_Two, {"numbers": [1, 2]}, "x.json", remedy="").numbers == (1, 2)


@pytest.mark.parametrize(
    ("document", "where"), [({"numbers": [1, "two"]}, "x.json: numbers.1: "), ([], "x.json: the document: ")]
)
def test_the_first_key_that_is_wrong_is_named(document: object, where: str) -> None:
    """With what to give instead."""
    with pytest.raises(InputError) as caught:
        validated(_Two, document, "x.json", remedy="give another")
    assert caught.value.message.startswith(where) and caught.value.remedy == "give another"
