"""The one error that a user's input can cause."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """An argument, a file or a folder breaks a rule.

    It is raised before any long work starts. The message is one line with the argument's name,
    the rule and the value. The command prints it and exits with status 2; every other exception
    is a bug of jaxclust and shows its traceback.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known word nearest to it, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
