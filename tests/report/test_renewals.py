"""Why curves jump is said where clusters are made anew, and nowhere else."""

import pytest

from jaxclust.report.renewals import sentence


@pytest.mark.parametrize(("config", "said"), [
    ({}, ""),
    ({"graph_windows": None, "reset_epochs": None}, ""),
    (
        {"graph_windows": 4},
        "Every 4 windows, except near the end, a graph makes the clusters anew, "
        "with other numbers.",
    ),
    (
        {"graph_windows": 1, "reset_epochs": 20},
        "After each window, except near the end, a graph makes the clusters anew, "
        "with other numbers. Every 20 epochs, or every quarter of the run if that is less, except "
        "near the end, weights are partly drawn anew, and the clusters with them.",
    ),
])  # fmt: skip
def test_what_is_made_anew_is_said(config, said):
    assert sentence(config) == said
