"""A command's words read into a frozen dataclass by tyro, and one line for what is wrong.

A field of the dataclass is an option, its docstring the help. Nothing here knows a command.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin

import tyro

# tyro prints its complaints in boxes. This hook, which setup.cfg pins tyro for, is its only way
# to hand over the facts of a complaint instead.
from tyro import _errors as tyro_errors

from jaxclust.errors import UsageError, did_you_mean

T = TypeVar("T")

FLAT = tyro.conf.arg(name="")
"""Marks a field that is a dataclass itself, whose options get no prefix."""
Switch = tyro.conf.FlagCreatePairsOff[bool]
"""An option without a value that is off unless given."""


def parse(
    kind: type[T],
    words: Sequence[str],
    prog: str,
    description: str | None = None,
    default: T | None = None,
) -> T:
    """Reads all words into a dataclass.

    Args:
      kind: the dataclass.
      words: what follows the command's name.
      prog: the command, for its help.
      description: for its help; None for the docstring of ``kind``.
      default: an instance whose values are the defaults; ``tyro.MISSING`` for none.

    Raises:
      UsageError: a word is no option, an option is missing or has a value that cannot be.
      SystemExit: the words ask for help, which has been printed.
    """
    usual = tyro.MISSING_NONPROP if default is None else default
    with tyro_errors.on_parse_error(_refuser(kind)):
        return tyro.cli(kind, args=words, prog=prog, description=description, default=usual)


def parse_known(
    kind: type[T],
    words: Sequence[str],
    prog: str,
    description: str | None = None,
    add_help: bool = True,
) -> tuple[T, list[str]]:
    """Reads the options of a dataclass, and returns all other words in their order.

    Arguments and errors are those of ``parse``; without ``add_help`` a request for help is a word
    like others.
    """
    with tyro_errors.on_parse_error(_refuser(kind)):
        return tyro.cli(
            kind,
            args=words,
            prog=prog,
            description=description,
            add_help=add_help,
            return_unknown_args=True,
        )


def flags(kind: type, prefix: str = "") -> Iterator[str]:
    """The options of a dataclass as people type them, such as "--max-seconds"."""
    for field in dataclasses.fields(kind):
        annotated = get_origin(field.type) is Annotated
        inner, *marks = get_args(field.type) if annotated else [field.type]
        name = prefix + field.name.replace("_", "-")
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from flags(inner, prefix if FLAT in marks else f"{name}.")
            continue
        yield f"--{name}"
        if inner is bool and tyro.conf.FlagCreatePairsOff not in marks:
            yield f"--{prefix}no-{field.name.replace('_', '-')}"


def _refuser(kind: type) -> Any:
    """What tyro calls with a complaint: raises it as UsageError."""

    def refuse(event: tyro_errors.ParseErrorEvent) -> None:
        if isinstance(event, tyro_errors.UnrecognizedArgs):
            raise UsageError(_unknown(event.tokens, kind))
        if isinstance(event, tyro_errors.MissingArgs):
            if event.unrecognized_tokens:
                raise UsageError(_unknown(event.unrecognized_tokens, kind))
            names = [_name(missing.arg) for missing in event.missing_arguments]
            raise UsageError(f"{', '.join(names)}: must be given, got none")
        if isinstance(event, tyro_errors.BadValue):
            raise UsageError(f"{_name(event.argument)}: must have a value, got none")
        if isinstance(event, tyro_errors.InvalidChoice):
            rule = f"{_name(event.argument)}: must be one of {', '.join(event.choices)}"
            hint = did_you_mean(event.value, event.choices)
            raise UsageError(f"{rule}, got {event.value!r}{hint}")
        if isinstance(event, tyro_errors.InstantiationFailure):
            if event.argument is None:
                raise UsageError(event.message)
            raise UsageError(f"Error parsing --{_name(event.argument)}: {event.message}")

    return refuse


def _name(argument: Any) -> str:
    """An argument's name without dashes; of a positional one its placeholder."""
    return argument.lowered.name_or_flags[-1].removeprefix("--")


def _unknown(tokens: Sequence[str], kind: type) -> str:
    """A complaint about words that are no options."""
    options = [token.partition("=")[0] for token in tokens if token.startswith("-")]
    hint = did_you_mean(options[0], flags(kind)) if options else ""
    return f"Unrecognized options: {' '.join(options or tokens)}{hint}"
