"""Named parts: what is unknown is refused with the nearest spelling."""

import pytest

from detect.errors import UserError, nearest
from detect.models import detector  # noqa: F401  fills the registries
from detect.models.registry import BACKBONES, HEADS, NECKS, Registry


@pytest.fixture
def shelf():
    """A registry with one part."""
    registry = Registry("shelf", wired=("in_channels",))

    @registry.register
    class Board:
        def __init__(self, in_channels=3, width=10, colour="white"):
            if width < 0:
                raise ValueError("width is negative")
            self.in_channels, self.width, self.colour = in_channels, width, colour

    return registry


def test_parts_of_the_paper_are_known():
    assert "CSPPeleeNet" in BACKBONES.names()
    assert "EFM" in NECKS.names()
    assert "YOLOv3" in HEADS.names()


def test_part_is_built_from_its_options_and_wiring(shelf):
    board = shelf.build({"name": "Board", "width": 4}, in_channels=7)
    assert (board.in_channels, board.width, board.colour) == (7, 4, "white")


def test_building_leaves_the_specification_alone(shelf):
    spec = {"name": "Board", "width": 4}
    shelf.build(spec)
    assert spec == {"name": "Board", "width": 4}


def test_options_are_the_constructors_without_the_wired_ones(shelf):
    assert shelf.options("Board") == ["width", "colour"]


@pytest.mark.parametrize(
    ("registry", "wrong", "right"),
    [(BACKBONES, "CSPPelleNet", "CSPPeleeNet"), (NECKS, "EMF", "EFM"), (HEADS, "YOLOv4", "YOLOv3")],
)
def test_unknown_part_is_refused_with_the_nearest(registry, wrong, right):
    with pytest.raises(UserError, match=f"unknown {registry.role} '{wrong}'; did you mean '{right}'"):
        registry.build({"name": wrong})


def test_unknown_part_unlike_any_is_refused_with_what_is_known(shelf):
    with pytest.raises(UserError, match="unknown shelf 'zzz'; known: Board"):
        shelf.get("zzz")


def test_unknown_option_is_refused_with_the_nearest(shelf):
    with pytest.raises(UserError, match="shelf Board has no option 'color'; did you mean 'colour'"):
        shelf.build({"name": "Board", "color": "red"})


def test_wired_option_is_refused_in_a_specification(shelf):
    with pytest.raises(UserError, match="shelf Board has no option 'in_channels'"):
        shelf.build({"name": "Board", "in_channels": 4})


def test_wrong_value_is_refused_in_the_parts_words(shelf):
    with pytest.raises(UserError, match="shelf Board: width is negative"):
        shelf.build({"name": "Board", "width": -1})


def test_name_cannot_be_taken_twice(shelf):
    class Board:
        pass

    with pytest.raises(ValueError, match="shelf Board is registered twice"):
        shelf.register(Board)


def test_nearest_of_nothing_says_nothing():
    assert nearest("word", []) == ""
