"""Values of a run's files that no run writes: one line that names the file and the field."""

import json
import math

import pytest

from fuzz.runs import VALUES, WHOLE, changed
from jaxclust.errors import UsageError
from jaxclust.runs import collect
from jaxclust.runs.files import json_lines, read_json_lines
from jaxclust.runs.rows import read_results, read_rows
from jaxclust.runs.settings import method_of, read_settings
from run_folders import GOOD, make


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("field", ["seed", "n", "clusters", "acc", "method", "largest_cluster"])
def test_a_wrong_value_in_a_row_is_named(tmp_path, field, kind):
    folder = make(tmp_path / "a", "dcec", GOOD)
    path = folder / "results.jsonl"
    lines = read_json_lines(path)
    value = VALUES[kind]
    share = field in ("acc", "largest_cluster") and value == 0.5
    fits = share or (field == "method" and kind == "text")
    path.write_text(json_lines([changed(lines[0], (field,), value), *lines[1:]]))
    if fits:
        assert len(read_results(folder)) == len(GOOD)
        return
    if field == "largest_cluster" and value is None:
        assert read_results(folder)[0].largest_cluster is None
        return
    missing = value is ... and field in ("acc", "largest_cluster")
    # Readers of one run take a row without a score.
    for read in (read_results, lambda folder: read_rows(folder / "results.jsonl")):
        if not missing and (field, value) != ("acc", None):
            with pytest.raises(UsageError, match=f"results.jsonl.*{field}"):
                read(folder)
    cells, notes = collect.read([str(folder)])
    if field != "largest_cluster" or value is not ...:
        assert 0 not in cells[0].rows
        assert "line 1 is cut off or no row" in " ".join(notes)


@pytest.mark.parametrize("kind", ["text", "list", "minus", "huge", "beyond floats", "nan", "null"])
@pytest.mark.parametrize(
    "place", [("seeds",), ("data", "shape"), ("data",), ("config", "clusters"), ("method",)]
)
def test_a_wrong_value_in_the_settings_is_named(tmp_path, place, kind):
    folder = make(tmp_path / "a", "dcec", GOOD)
    path = folder / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(changed(values, place, VALUES[kind])))
    if place == ("method",) and kind == "text":
        with pytest.raises(UsageError, match="settings of this version's methods"):
            method_of(read_settings(folder), folder)
        return
    with pytest.raises(UsageError, match=f"config.json must be a run's settings.*{place[-1]}"):
        read_settings(folder)


@pytest.mark.parametrize("value", ["x", [1], {"a": 1}, None, True])
def test_a_setting_of_another_kind_is_named(tmp_path, value):
    folder = make(tmp_path / "a", "dcec", GOOD, gamma=value)
    with pytest.raises(UsageError, match="gamma: must be float"):
        method_of(read_settings(folder), folder)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_of_something_else_is_named(tmp_path, kind):
    folder = make(tmp_path / "a", "dcec", GOOD)
    (folder / "config.json").write_bytes(WHOLE[kind])
    with pytest.raises(UsageError, match="config.json must be a run's settings"):
        read_settings(folder)
    folder = make(tmp_path / "b", "dcec", GOOD)
    (folder / "results.jsonl").write_bytes(WHOLE[kind])
    with pytest.raises(UsageError, match="results.jsonl"):
        read_results(folder)


def test_values_are_as_the_list_of_kinds_says():
    assert math.isnan(VALUES["nan"])
    assert VALUES["beyond floats"] > 1e308
