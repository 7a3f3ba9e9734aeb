"""The exceptions that mean: the user can fix this."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

MAX_SENTENCE = 2000  # characters; what is longer quotes a stranger's file at length
MAX_LIST, MAX_WORD = 700, 200  # characters of a list in a sentence, and of a word in it


class UserError(Exception):
    """A mistake in the input. Its text is one sentence: where, what is wrong, what to do.

    Of a very long one (a file's text in it) the middle is left out.
    The command line prints it without a traceback and exits with status 1.

    Args:
        argument: name of the setting or argument that it is about, if that helps; the command line names its option.
        details: a sentence for each of the many things that `sentence` counts; the command line lists them below it.

    Attributes:
        is_told: whether another process of the same training tells the user.
    """

    is_told = False

    def __init__(self, sentence: object, argument: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(shortened(str(sentence), MAX_SENTENCE))
        self.argument, self.details = argument, details


class PartError(UserError):
    """A part of a model that cannot be made of its specification.

    Attributes:
        section: the part's role: `backbone`, `neck`, `head` or `convolution`.
        option: the option at fault; `name` when no part has this name, None when it is the part as a whole.
        sentence: what is wrong, and what to do.
    """

    def __init__(self, section: str, option: str | None, sentence: str) -> None:
        super().__init__(sentence)
        sentence = shortened(sentence, MAX_SENTENCE)
        self.args = (section, option, sentence)  # of which a pickled error is made again
        self.section, self.option, self.sentence = section, option, sentence

    def __str__(self) -> str:
        return self.sentence


class OptionError(ValueError):
    """What a part's constructor raises when the value of an option of its own does not fit.

    Attributes:
        option: its name; None when it is the part as a whole, whatever its options.
        sentence: what is wrong, and what to do.
    """

    def __init__(self, option: str | None, sentence: str) -> None:
        super().__init__(option, sentence)
        self.option, self.sentence = option, sentence

    def __str__(self) -> str:
        return self.sentence


def nearest(word: object, known: Iterable[object]) -> str:
    """`", did you mean 'x'?"` for the nearest spelling of `word` in `known`, or the list of what is known."""
    words = [str(k) for k in known]
    matches = get_close_matches(str(word)[:MAX_WORD], words, n=1, cutoff=0.6)
    if matches:
        return f"; did you mean '{shortened(matches[0], MAX_WORD)}'?"
    return f"; known: {listed(words)}" if words else ""


def listed(words: Sequence[str]) -> str:
    """`words` with commas between, as many as fit in a sentence, and the number of the others."""
    shown, room = [], MAX_LIST
    for word in words:
        room -= len(word) + 2
        if room < 0:
            break
        shown.append(word)
    others = len(words) - len(shown)
    return ", ".join(shown) + (f"{' and ' if shown else ''}{others} more" if others else "")


def shortened(text: str, limit: int) -> str:
    """`text`, its middle left out where it has more than `limit` characters."""
    half = (limit - 5) // 2
    return text if len(text) <= limit else f"{text[:half]} ... {text[-half:]}"
