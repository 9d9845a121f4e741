"""Which classes lead a card."""

import pytest
from trap_server.headline import headline


@pytest.mark.parametrize(
    ("classes", "leading"),
    [
        (("Female", "Male", "Incomplete"), ("Female", "Male")),
        (("Undefined", "Male"), ("Female", "Male")),
        (("mosquito",), ("mosquito",)),
        (("a", "b", "c", "d", "e"), ("a", "b", "c", "d")),
        ((), ()),
    ],
)
def test_the_sexes_lead_or_else_the_first_four(classes: tuple[str, ...], leading: tuple[str, ...]):
    assert headline(classes) == leading
