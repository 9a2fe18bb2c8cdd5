"""``knotwork discover`` from the outside."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from knotwork.cli.app import app

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 3, (200, 2))


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    rows = np.column_stack([X, 3 * X[:, 0] / X[:, 1] ** 2])
    np.savetxt(path, rows, delimiter=",", header="mass,my radius,force", comments="")
    return path


def test_a_law_with_its_report(table, tmp_path):
    out = tmp_path / "out"
    result = run("discover", table, "--target", "force", "--budget", 20, "--out", out)
    assert result.exit_code == 0, result.output
    assert "force = 3*mass/my radius**2" in result.output
    page = (out / "report.html").read_text()
    assert "<svg" in page
    assert not re.search(r'(src|href)\s*=\s*"(http|/)', page)
    assert "3*mass/my radius**2" in page
    assert json.loads((out / "formula.json").read_text())["variables"] == ["mass", "my radius"]
    space = {}
    exec((out / "formula.py").read_text(), space)
    np.testing.assert_allclose(space["formula"](4.0, 2.0), 3.0)
    for name in ("formula.c", "formula.jl", "formula.tex", "formula_torch.py", "search.json"):
        assert (out / name).stat().st_size > 0
    assert (out / "front.png").read_bytes().startswith(b"\x89PNG")


def test_a_search_goes_on(table, tmp_path):
    out = tmp_path / "out"
    arguments = ("discover", table, "--target", "force", "--budget", 20, "--out", out)
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--resume")
    assert result.exit_code == 0
    assert "force = 3*mass/my radius**2" in result.output


def test_markup_in_names_is_only_text(tmp_path):
    path = tmp_path / "rows.csv"
    rows = np.column_stack([X[:, 0], 2 * X[:, 0]])
    np.savetxt(path, rows, delimiter=",", header="<script>alert(1)</script>,y", comments="")
    out = tmp_path / "out"
    assert run("discover", path, "--target", "y", "--budget", 10, "--out", out).exit_code == 0
    assert "<script>" not in (out / "report.html").read_text()


def write(path, text):
    path.write_text(text)
    return path


ROWS = "\n".join(f"{a},{b},{a * b}" for a, b in X.tolist())


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b,y\n" + ROWS, ["--target", "z"], "z"),
        ("a,a,y\n" + ROWS, ["--target", "y"], "a"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--inputs", "a,y"], "y"),
        ("a,b,y\n1,x,3\n" + ROWS, ["--target", "y"], "column 'b'.*row 1"),
        ("a,b,y\n1,,3\n" + ROWS, ["--target", "y"], "'b'"),
        ("a,b,y\n1,2024-05-01,3\n" + ROWS, ["--target", "y"], "'b'"),
        ("a,b,y\n1,2,3\n", ["--target", "y"], "at least 6 rows; got 1"),
        ("a,b,y\n", ["--target", "y"], "row"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--budget", "-1"], "budget"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--lib", "sinn"], "sinn"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--resume"], "--out"),
    ],
)
def test_bad_input_is_one_line(tmp_path, text, options, message):
    result = run("discover", write(tmp_path / "rows.csv", text), *options)
    assert result.exit_code == 2
    errors = result.stderr.strip().splitlines()
    assert len(errors) == 1
    assert re.search(message, errors[0])
    assert "Traceback" not in result.output


def test_what_is_known_is_kept_to(tmp_path):
    path = tmp_path / "rows.csv"
    rows = np.column_stack([X, X[:, 0] / X[:, 1] ** 2])
    np.savetxt(path, rows, delimiter=",", header="mass,my radius,pull", comments="")
    known = ["--units", "mass=kg", "--units", "my radius=m", "--units", "pull=m/s^2"]
    known += ["--require", "mass", "--symmetry", "even in my radius"]
    result = run("discover", path, "--target", "pull", "--budget", 10, *known)
    assert result.exit_code == 0, result.output
    assert "pull = 1.0*mass/my radius**2" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "mass"], "COLUMN=UNIT, as v=m/s; got 'mass'"),
        (["--units", "mass=kg", "--units", "mass=g"], "'mass' twice"),
        (["--units", "mess=kg"], "'mess', which is no input.*Did you mean 'mass'"),
        (["--units", "force=kg*"], "target_units: unit 'kg\\*'"),
        (["--require", "force"], "'force', which is no input"),
        (["--forbid", "mass,my radius"], "every input"),
        (["--symmetry", "round in mass"], "must be 'even in x'"),
    ],
)
def test_what_cannot_be_known_is_one_line(table, options, message):
    result = run("discover", table, "--target", "force", *options)
    assert result.exit_code == 2
    assert re.search(message, result.stderr.strip().splitlines()[-1])
