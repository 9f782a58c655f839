"""The rules for settings that several methods share, and their messages."""

import dataclasses
from typing import Literal

import pytest

from jaxclust.errors import UsageError
from jaxclust.methods import checks


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings without rules of their own."""

    count: int = 3
    rate: float = 0.5
    two: Literal["a", "b"] = "a"
    three: Literal["a", "b", "c"] = "c"


NAN = float("nan")
INF = float("inf")


@pytest.mark.parametrize(
    ("changes", "check", "message"),
    [
        (
            {"count": 2},
            lambda c: checks.at_least(c, 3, "count"),
            "count: must be at least 3, got 2",
        ),
        (
            {"rate": NAN},
            lambda c: checks.at_least(c, 0, "rate"),
            "rate: must be at least 0, got nan",
        ),
        (
            {"rate": 0.0},
            lambda c: checks.positive(c, "rate"),
            "rate: must be above 0 and finite, got 0.0",
        ),
        (
            {"rate": INF},
            lambda c: checks.positive(c, "count", "rate"),
            "rate: must be above 0 and finite, got inf",
        ),
        (
            {"rate": -1.0},
            lambda c: checks.nonnegative(c, "rate"),
            "rate: must be at least 0 and finite, got -1.0",
        ),
        (
            {"rate": NAN},
            lambda c: checks.nonnegative(c, "count", "rate"),
            "rate: must be at least 0 and finite, got nan",
        ),
        (
            {"rate": 1.1},
            lambda c: checks.in_range(c, 0.001, 1, "rate"),
            "rate: must be in [0.001, 1], got 1.1",
        ),
        ({"rate": 1.0}, lambda c: checks.below_one(c, "rate"), "rate: must be in [0, 1), got 1.0"),
        ({"two": "c"}, checks.choices, "two: must be a or b, got 'c'"),
        ({"three": "d"}, checks.choices, "three: must be a, b or c, got 'd'"),
        (
            {"three": "d"},
            lambda c: checks.choices(c, checks.as_list),
            "three: must be one of a, b, c, got 'd'",
        ),
        (
            {"three": "d"},
            lambda c: checks.choices(c, " or ".join),
            "three: must be a or b or c, got 'd'",
        ),
        (
            {"two": "b"},
            lambda c: checks.only(c, "two", "a", "with three c"),
            "two: must be a with three c, got 'b'",
        ),
    ],
)
def test_a_setting_that_breaks_a_rule_is_named(changes, check, message):
    check(Config())
    with pytest.raises(UsageError) as refused:
        check(dataclasses.replace(Config(), **changes))
    assert str(refused.value) == message


def test_the_ends_of_a_range_are_allowed():
    checks.at_least(Config(count=3), 3, "count")
    checks.in_range(Config(rate=0.0), 0, 1, "rate")
    checks.in_range(Config(rate=1.0), 0, 1, "rate")
    checks.below_one(Config(rate=0.0), "rate")
    checks.nonnegative(Config(rate=0.0), "rate")
