import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from knotwork.cli.app import app

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPECTED = {
    "introduction.py": ["exp(x_2**2 + sin(pi*x_1))"],
    "kepler.py": ["period_years = 0.9995*distance_au**1.5"],
    "division.py": ["y = x_1/x_2", "log", "exp"],
    "diabetes.py": ["bmi", "R^2 on 111 rows kept aside: 0.3", "of a linear model on them: 0.359"],
    "poisson.py": ["KAN: relative L2 error", "MLP: relative L2 error"],
    "tune_with_optuna.py": ["hidden nodes: 2", "RMSE on new rows: 0.00"],
}


def run(arguments, folder):
    # Warnings of the library are part of what a user sees, so an example must not cause any.
    environment = {**os.environ, "PYTHONWARNINGS": "error::UserWarning"}
    result = subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name, tmp_path):
    # A copy, so that its picture is not written into the working tree.
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    output = run([sys.executable, tmp_path / "examples" / name], elsewhere)
    for expected in EXPECTED[name]:
        assert expected in output
    picture = tmp_path / "out" / "examples" / name.replace(".py", ".png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not list(elsewhere.iterdir())
    for score in re.findall(r"^R\^2 .*: (0\.\d+)$", output, flags=re.MULTILINE):
        assert f"R^2 {float(score):.2f}" in README


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < 20


def test_kepler_through_the_command_line():
    table = str(EXAMPLES / "data" / "kepler.csv")
    options = ["--width", "0", "--test-fraction", "0", "--symbolic", "--lib", "x,x^2,x^1.5,log,exp"]
    result = CliRunner().invoke(app, ["fit", table, "--target", "period_years", *options])
    law = "period_years = 0.999458*distance_au**(3/2)\n"
    assert law in result.stdout
    assert law in README
