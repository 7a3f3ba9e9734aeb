"""Named parts: what is unknown or does not fit is refused in one sentence; what is our bug stays one."""

import pickle

import pytest

from detect.errors import OptionError, PartError, UserError, nearest
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
                raise OptionError("width", "width is negative")
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
    with pytest.raises(UserError, match=r"^Board has no option 'color'; did you mean 'colour'"):
        shelf.build({"name": "Board", "color": "red"})


def test_wired_option_is_refused_in_a_specification(shelf):
    with pytest.raises(UserError, match=r"^Board has no option 'in_channels'"):
        shelf.build({"name": "Board", "in_channels": 4})


def test_wrong_value_is_refused_in_the_parts_words(shelf):
    with pytest.raises(UserError, match="shelf Board: width is negative"):
        shelf.build({"name": "Board", "width": -1})


@pytest.mark.parametrize(
    ("spec", "option"),
    [
        ({"name": "Bord"}, "name"),
        ({"name": "Board", "color": "red"}, "color"),
        ({"name": "Board", "in_channels": 4}, "in_channels"),
        ({"name": "Board", "width": -1}, "width"),
    ],
)
def test_an_error_says_which_option_of_which_part(shelf, spec, option):
    with pytest.raises(PartError) as caught:
        shelf.build(spec)
    error = pickle.loads(pickle.dumps(caught.value))  # as it comes from another process
    assert (error.section, error.option, error.sentence) == ("shelf", option, str(caught.value))


def test_a_part_as_a_whole_is_refused_without_an_option(shelf):
    @shelf.register
    class Plank:
        def __init__(self):
            raise OptionError(None, "the wood is not there")

    with pytest.raises(PartError, match=r"^shelf Plank: the wood is not there$") as caught:
        shelf.build({"name": "Plank"})
    assert caught.value.option is None


def test_a_mistake_inside_an_options_value_is_that_options(shelf):
    @shelf.option_of_all
    def beside(part, spec):
        part.beside = shelf.build(spec)

    board = shelf.build({"name": "Board", "beside": {"name": "Board", "width": 5}})
    assert board.beside.width == 5
    with pytest.raises(PartError, match=r"^Board has no option 'color'") as caught:
        shelf.build({"name": "Board", "beside": {"name": "Board", "color": "red"}})
    assert (caught.value.section, caught.value.option) == ("shelf", "beside")


@pytest.mark.parametrize("bug", [TypeError, ValueError, RuntimeError, KeyError, OverflowError, AssertionError])
def test_a_bug_of_a_constructor_is_not_the_users_mistake(shelf, bug):
    @shelf.register
    class Warped:
        def __init__(self, width=10):
            raise bug("the saw slipped")

    @shelf.option_of_all
    def paint(part, value):
        raise bug("the brush slipped")

    with pytest.raises(bug, match="the saw slipped"):
        shelf.build({"name": "Warped", "width": 3})
    with pytest.raises(bug, match="the brush slipped"):
        shelf.build({"name": "Board", "paint": "red"})


def test_name_cannot_be_taken_twice(shelf):
    class Board:
        pass

    with pytest.raises(ValueError, match="shelf Board is registered twice"):
        shelf.register(Board)


def test_nearest_of_nothing_says_nothing():
    assert nearest("word", []) == ""
