import ast
import io
import re
import runpy
import shutil
import tokenize
from pathlib import Path

import pytest
from click.testing import CliRunner

from knotwork.cli.app import app

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYKAN = (ROOT / "docs" / "pykan.md").read_text(encoding="utf-8")
MOST_LINES = 30
# Two networks for one equation, and where they are wrong.
MOST_LINES_OF_POISSON = 60
# What each prints, in so few digits that any machine prints them.
EXPECTED = {
    "activations.py": ["(0, 0, 0) against sin(3x₁): R^2 = 1.000", "against exp: R^2 = 1.000"],
    "checkpoints.py": ["the same outputs: True", "fell by more than half: True"],
    "classification.py": ["accuracy on 100 new points: 0.9", "*x_2 + ", "*sin("],
    "continual_learning.py": [
        "KAN: RMSE over all five peaks 0.000",
        "MLP: RMSE over all five peaks",
    ],
    "deep_formula.py": ["wave function = exp(-sqrt(x**2 + y**2 + z**2))"],
    "diabetes.py": ["bmi", "R^2 on 111 rows kept aside: 0.3", "of a linear model on them: 0.359"],
    "division.py": ["y = x_1/x_2", "log", "exp"],
    "feature_attribution.py": ["removed 5 edges", "inputs 5, 6, 7, 8, 9;"],
    "function_fitting.py": ["grid 5: test RMSE 7e-03", "grid 160: test RMSE", "e-09"],
    "grids.py": ["grid_eps 1: RMSE 3e-01", "grid_eps 0: RMSE 6e-04", "moved by at most 0.0"],
    "indexing.py": ["5 of 11 edges", "multiplies: [1, 2]", "spline)", "called sin", "absent) was"],
    "initialisation.py": ["best of 1: the worst", "best of 5: the worst of five seeds has RMSE"],
    "introduction.py": ["exp(x_2**2 + sin(pi*x_1))"],
    "kepler.py": ["period_years = 0.9995*distance_au**1.5"],
    "plotting.py": ["5 of 8 edges are drawn"],
    "poisson.py": ["KAN: relative L2 error", "MLP: relative L2 error"],
    "pruning.py": ["removed 9 edges and 2 hidden nodes", "from 12 edges to 3", "[3, 1, 1]"],
    "regularisation.py": ["lamb = 0: 9 edges", "lamb = 0.003: 3 edges", "lamb = 0.3: 2 edges"],
    "special_functions.py": ["J0  1.00", "besselj(0, r)", "exp("],
    "training_options.py": ["Levenberg-Marquardt: ", "L-BFGS: ", "Adam: ", "Adam, batches of 50: "],
    "tune_with_optuna.py": ["hidden nodes: 2", "RMSE on new rows: 0.00"],
}
# Pairs of lines of which the first tells the smaller error, a tenth of the other at the most.
BETTER = {
    "continual_learning.py": ("KAN: RMSE over all five peaks ", "MLP: RMSE over all five peaks "),
    "initialisation.py": ("best of 5: the worst of five seeds has RMSE ",
                          "best of 1: the worst of five seeds has RMSE "),
    "training_options.py": ("Levenberg-Marquardt: test RMSE ", "Adam: test RMSE "),
}  # fmt: skip


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name, tmp_path, monkeypatch, capsys):
    # A copy, so that its picture is not written into the working tree; in this process, where
    # torch is loaded and every warning is an error.
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    there = set(tmp_path.rglob("*"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("sys.argv", [name])
    monkeypatch.setenv("KNOTWORK_QUICK", "1")
    runpy.run_path(str(tmp_path / "examples" / name), run_name="__main__")
    output = capsys.readouterr().out
    for expected in EXPECTED[name]:
        assert expected in output
    if name in BETTER:
        small, large = (number_after(words, output) for words in BETTER[name])
        assert small < large / 10
    for score in re.findall(r"^R\^2 .*: (0\.\d+)$", output, flags=re.MULTILINE):
        assert f"R^2 {float(score):.2f}" in README
    stem = name.removesuffix(".py")
    written = {path for path in set(tmp_path.rglob("*")) - there if path.is_file()}
    folder = tmp_path / "out" / "examples"
    assert folder / f"{stem}.png" in written
    assert all(path.parent == folder and path.name.startswith(stem) for path in written)
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written if p.suffix == ".png")


def number_after(words, output):
    return float(re.search(f"^{re.escape(words)}(.*)$", output, flags=re.MULTILINE).group(1))


def code_lines(text):
    """Return how many lines hold code: neither blank, nor a comment, nor of the docstring."""
    body = ast.parse(text).body[1:]
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {token.start[0] for token in tokens if token.type not in silent}
    return len([line for line in lines if body[0].lineno <= line <= body[-1].end_lineno])


@pytest.mark.parametrize("name", EXPECTED)
def test_examples_are_short_and_begin_with_a_title(name):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert code_lines(text) <= (MOST_LINES_OF_POISSON if name == "poisson.py" else MOST_LINES)
    title, line, blank, *words = ast.get_docstring(ast.parse(text)).splitlines()
    assert line == "=" * len(title)
    assert blank == ""
    assert words


def test_every_tutorial_has_an_example_in_the_page_for_users_of_pykan():
    linked = re.findall(r"\]\(\.\./examples/(\w+\.py)\)", PYKAN)
    assert len(linked) == len(set(linked)) >= 15
    assert set(linked) <= EXPECTED.keys()


def test_kepler_through_the_command_line():
    table = str(EXAMPLES / "data" / "kepler.csv")
    options = ["--width", "0", "--test-fraction", "0", "--symbolic", "--lib", "x,x^2,x^1.5,log,exp"]
    result = CliRunner().invoke(app, ["fit", table, "--target", "period_years", *options])
    law = "period_years = 0.999458*distance_au**(3/2)\n"
    assert law in result.stdout
    assert law in README
