"""Pages of comparison are what the results say."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import comparison
import report


@pytest.mark.parametrize(
    ("page", "write"),
    [
        (report.PAGE, report.page),
        (comparison.PAGES / "tabular.md", comparison.tabular),
        (comparison.PAGES / "searches.md", comparison.searches),
    ],
)
def test_page_is_what_the_results_say(page, write):
    assert page.read_text(encoding="utf-8") == write()


def test_a_peer_that_is_ahead_is_named_with_its_error():
    scores = {"KAN": [0.5, 0.6], "MLP": [0.7, 0.9]}
    found = {name: {"score": sum(s) / 2, "scores": s} for name, s in scores.items()}
    assert comparison.ahead(found) == "MLP, ahead of KAN by 0.250 ± 0.050"
    found["MLP"]["score"] = 0.55
    assert comparison.ahead(found) == "KAN and MLP"
