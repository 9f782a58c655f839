"""The table with which docs/results.md begins: what of each of the five papers was reproduced.

Its numbers come from the rows, and so do its verdicts. The page gives reasons further down, which
are written by hand. README.md has a line of it for each paper.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from experiments import compare, rows, tables
from experiments.headlines import HEADLINES, SCORES, Headline
from jaxclust.evaluation import stats
from jaxclust.runs.rows import Row


class Verdict(NamedTuple):
    """A line of the table.

    Attributes:
      paper: name of the paper, and its heading on the page.
      title: the headline of the paper's settings.
      data: name of the data set.
      score: name of the score.
      default: the headline of the default settings, where it is one of its own.
      other: what is not as in the paper, such as another start; "" where nothing.
    """

    paper: str
    title: str
    data: str
    score: str
    default: str | None = None
    other: str = ""


NEAR = 0.02
"""Distance from the paper's number up to which a mean has reproduced it."""
_JULE = "JULE-RC, `--preset default`"
_CODE = "by the authors' code"
VERDICTS = (
    Verdict("DCEC", "DCEC", "usps", "acc"),
    Verdict("JULE", "JULE-RC", "usps-11000", "nmi_sqrt", _JULE, other=_CODE),
    Verdict("JULE", "JULE-RC", "mnist-test", "nmi_sqrt", _JULE, other=_CODE),
    Verdict("DBC", "DBC", "usps-11000", "acc"),
    Verdict("DBC", "DBC", "coil20", "acc"),
    Verdict("DBC", "DBC", "mnist", "acc"),
    Verdict("DBC", "DBC", "coil100-32", "acc", other="smaller images"),
    Verdict("CCNN", "CCNN, reconstruction", "mnist-test", "nmi_sqrt", other="another start"),
    Verdict("DCTL", "DCTL", "yaleb", "acc", other="another set"),
)


def table(chosen: Iterable[Verdict] = VERDICTS, page: str = "") -> str:
    """A line for each verdict, as Markdown.

    Args:
      chosen: the verdicts.
      page: where the papers' headings are; "" for the page with the table.
    """
    head = ["paper", "reproduced?", "data, score", "the paper", "here, `paper`", "here, default"]
    lines = [
        [f"[{verdict.paper}]({page}#{verdict.paper.lower()})", *_cells(verdict)]
        for verdict in chosen
    ]
    return tables.markdown([head, *lines])


def short_table() -> str:
    """A line for each paper, its first verdict, as Markdown for README.md."""
    first: dict[str, Verdict] = {}
    for verdict in VERDICTS:
        first.setdefault(verdict.paper, verdict)
    return table(first.values(), "docs/results.md")


def _cells(verdict: Verdict) -> list[str]:
    """What stands in a verdict's line after the paper's name."""
    headline = _headline(verdict.title)
    own = _rows(headline, verdict.data)
    published = headline.layout.published[verdict.data][headline.name]
    number = published[headline.layout.scores.index(verdict.score)]
    assert number is not None  # A verdict is on a number that the paper has.
    runs = headline.layout.runs
    scores = [row.score(verdict.score) for row in own]
    default = [row.score(verdict.score) for row in _at_default(verdict, own)]
    return [
        words(scores, number, runs) + (f", {verdict.other}" if verdict.other else ""),
        f"{verdict.data}, {SCORES[verdict.score]}",
        f"{number:.3f}",
        mean(scores, runs),
        mean(default, runs) or "not run",
    ]


def words(values: Sequence[float | None], number: float, runs: int) -> str:
    """Whether scores reproduce a paper's number.

    Args:
      values: scores of seeds.
      number: the paper's.
      runs: how many runs are behind it.

    Returns:
      "yes" where the mean is near the number, "perhaps" where the number lies in the interval of
      the mean of ``runs`` more runs, and "no" otherwise.
    """
    scores = [value for value in values if value is not None]
    if scores and abs(stats.summary(scores).mean - number) <= NEAR:
        return "yes"
    if len(scores) > 1:
        low, high = stats.prediction_interval(scores, runs, bounds=stats.SHARE)
        return "perhaps" if low <= number <= high else "no"
    return "no"


def mean(values: Sequence[float | None], runs: int) -> str:
    """The mean of seeds, and where the mean of ``runs`` more runs falls with probability 95 %."""
    scores = [value for value in values if value is not None]
    if not scores:
        return ""
    if len(scores) == 1:
        return f"{scores[0]:.3f} (1 seed)"
    low, high = stats.prediction_interval(scores, runs, bounds=stats.SHARE)
    return f"{stats.summary(scores).mean:.3f} [{low:.3f}, {high:.3f}]"


def _headline(title: str) -> Headline:
    """The headline of a title."""
    (found,) = (headline for headline in HEADLINES if headline.title == title)
    return found


def _rows(headline: Headline, data: str) -> list[Row]:
    """The rows of a headline on a data set."""
    columns = headline.columns.items()
    found = [row for row in rows.read(headline.results) if row.data == data]
    return [row for row in found if columns <= row.to_json().items()]


def _at_default(verdict: Verdict, own: Sequence[Row]) -> list[Row]:
    """The rows of the default settings; empty where they have not run."""
    if verdict.default is not None:
        return _rows(_headline(verdict.default), verdict.data)
    names = {row.method for row in own}
    found = [row for row in own if compare.at_default(row)]
    more = [row for row in compare.present() if row.data == verdict.data and row.method in names]
    return list({row.seed: row for row in (*found, *more)}.values())
