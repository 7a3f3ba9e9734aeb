"""The one exception that means: the user can fix this."""

from difflib import get_close_matches


class UserError(Exception):
    """A mistake in the input. Its text is one sentence: where, what is wrong, what to do.

    The command line prints it without a traceback and exits with status 1.

    Args:
        argument: name of the function's argument that is wrong, if that helps; the command line names its option.
    """

    def __init__(self, sentence: object, argument: str | None = None):
        super().__init__(sentence)
        self.argument = argument


class PartError(UserError):
    def __init__(self, section, option, sentence):
        super().__init__(sentence)
        self.section, self.option, self.sentence = section, option, sentence


def nearest(word, known):
    """`", did you mean 'x'?"` for the nearest spelling of `word` in `known`, or the list of what is known."""
    known = [str(k) for k in known]
    matches = get_close_matches(str(word), known, n=1, cutoff=0.6)
    if matches:
        return f"; did you mean '{matches[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""
