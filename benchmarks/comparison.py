"""Write docs/comparison/tabular.md and searches.md from what the benchmarks left in results/.

    python benchmarks/comparison.py

Every figure on these pages comes from a file that a benchmark wrote; this only puts them in tables.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from report import Row, read, table

PAGES = Path(__file__).parents[1] / "docs" / "comparison"
MACHINE = "one thread of a shared virtual machine of two cores, {version}"


def machine(name: str) -> str:
    found = read(name)["machine"]
    return MACHINE.format(version=f"Python {found['python']}, torch {found['torch']}")


def scored(entry: Row, digits: int = 3) -> str:
    """Return a model's score on a table and the seconds of CPU that a fit took."""
    if "over" in entry:
        return f"over {entry['over']} s"
    return f"{entry['score']:.{digits}f} ({entry['cpu_seconds']:.1f} s)"


def ahead(found: dict[str, Row]) -> str:
    """Say which model scored best, and by how much it is ahead of the KAN if it is another."""
    found = {name: entry for name, entry in found.items() if "score" in entry}
    best = max(found, key=lambda name: found[name]["score"])
    if "KAN" not in found or found[best]["score"] == found["KAN"]["score"]:
        equal = [name for name in found if found[name]["score"] == found[best]["score"]]
        return " and ".join(equal)
    steps = [
        ours - theirs
        for ours, theirs in zip(found[best]["scores"], found["KAN"]["scores"], strict=True)
    ]
    mean = sum(steps) / len(steps)
    variance = sum((step - mean) ** 2 for step in steps) / (len(steps) - 1)
    return f"{best}, ahead of KAN by {mean:.3f} ± {math.sqrt(variance / len(steps)):.3f}"


def tabular() -> str:
    whole = read("tabular")
    results: dict[str, dict[str, Row]] = whole["results"]
    models = list(next(iter(results.values())))
    losses = [name for name, found in results.items() if "KAN" not in ahead(found).split(",")[0]]
    rows = [
        [
            name,
            *(scored(found[model]) for model in models),
            ahead(found),
        ]
        for name, found in results.items()
    ]
    return f"""# Small tables

<!-- Written by benchmarks/comparison.py from benchmarks/results/: change those, not this. -->

{{py:class}}`knotwork.KANRegressor` and {{py:class}}`knotwork.KANClassifier` as they come, beside
what people use for small tables: scikit-learn's perceptrons and histogram boosting with their
defaults (perceptrons with enough iterations to converge), additive splines with ridge regression,
whose penalty is chosen by cross-validation, and InterpretML's explainable boosting (EBM). R² or
accuracy, the mean over five folds; in brackets the seconds of CPU that a fit takes. "Over" says
that a model's five fits of that table took longer, and were stopped. `benchmarks/tabular.py`;
{machine("tabular")}, scikit-learn {whole["versions"]["scikit-learn"]}, interpret-core
{whole["versions"]["interpret-core"]}.

{table(["", *models, "best"], rows)}

A peer is ahead on {len(losses)} of {len(results)}: {", ".join(losses)}. The number behind ± is the
standard error of the difference over the folds. Every peer but EBM fits faster on most tables,
splines with ridge regression on all of them by a wide margin: if they do as well on your table, use
them. EBM's defaults fit fourteen models and the strongest pairs of inputs, here one after another.

The tables are scikit-learn's own small ones and Friedman's three synthetic problems. They are
well-behaved: numbers only, no missing values, at most 64 columns. They say little about large
tables with categories, where boosted trees are at home.
"""


def percentage(value: float) -> str:
    return f"{100 * value:.1f} %"


def searches() -> str:
    peers = read("peers")
    options = peers["options"]
    rows = [
        [
            f"{line['search']} {line['version']}",
            f"{line['recovered']} of {line['cases']}",
            f"{line['median_seconds']:.1f}",
            f"{line['most_seconds']:.1f}",
        ]
        for line in peers["summary"]
    ]
    cases: dict[str, dict[str, bool]] = {}
    for row in peers["rows"]:
        cases.setdefault(f"{row['id']} | `{row['truth']}`", {})[row["search"]] = row["recovered"]
    names = [line["search"] for line in peers["summary"]]
    single = [
        [*case.split(" | "), *("yes" if found[name] else "" for name in names)]
        for case, found in cases.items()
    ]
    alone = read("feynman")["summary"][0]
    false: dict[str, Any] = read("false_discovery")["summary"]
    low, high = (percentage(end) for end in false["formula_interval"])
    return f"""# Searches for formulas

<!-- Written by benchmarks/comparison.py from benchmarks/results/: change those, not this. -->

{{py:func}}`knotwork.discover` beside two searches by genetic programming: pyoperon, which fits
constants as it goes, and gplearn, which does not. The same {options["rows"]:,} rows without noise,
{options["budget"]:g} seconds each, the same rule: an error below 1e-6 of the target's spread on
fresh rows, and below 1e-4 on rows beyond the range of the data. `benchmarks/peers.py`;
{machine("peers")}.

{table(["search", "recovered", "median seconds", "most"], rows)}

Read it with care. These are {peers["summary"][0]["cases"]} of the 40 equations of the Feynman
collection that knotwork is developed with, without noise, and in
{options["budget"]:g} seconds: genetic programming uses longer searches well. The rule asks for the
law itself, and a good approximation counts for nothing. The peers' constants were fitted once more
after the search, beyond the budget.

{table(["case", "law", *names], single)}

## On its own

With 60 seconds a case knotwork recovers {alone["recovered"]} of the {alone["cases"]} equations
(`benchmarks/feynman.py`); it calls a formula in {false["verdicts"].get("formula", 0)} of
{false["tables"]} tables that hold nothing but noise (95 % interval {low} to {high},
`benchmarks/false_discovery.py`). With noise, what each part of the search is worth, and what was
not found: [How a formula is found](../discovery.md#what-was-measured).
"""


def main() -> None:
    for name, text in {"tabular": tabular(), "searches": searches()}.items():
        path = PAGES / f"{name}.md"
        path.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
