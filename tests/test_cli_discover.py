"""``knotwork discover`` from the outside."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sympy
import torch
from click.testing import CliRunner
from pyarrow import parquet

import knotwork
from knotwork.cli.app import app
from knotwork.cli.discover import _live
from knotwork.cli.options import counted, some
from knotwork.discovery.problem import Candidate
from knotwork.discovery.refit import Fit

ROOT = Path(__file__).parents[1]
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
    assert "force = 3*mass/`my radius`**2" in result.output
    page = (out / "report.html").read_text()
    assert "<svg" in page
    assert not re.search(r'(src|href)\s*=\s*"(http|/)', page)
    assert "3*mass/`my radius`**2" in page
    assert json.loads((out / "formula.json").read_text())["variables"] == ["mass", "my radius"]
    space = {}
    exec((out / "formula.py").read_text(), space)
    np.testing.assert_allclose(space["formula"](4.0, 2.0), 3.0)
    for name in ("formula.c", "formula.jl", "formula.tex", "formula_torch.py", "search.json"):
        assert (out / name).stat().st_size > 0
    assert (out / "front.png").read_bytes().startswith(b"\x89PNG")


def test_a_column_of_weights(tmp_path):
    rng = np.random.default_rng(1)
    sigma = np.where(np.arange(200) % 8 == 0, 50.0, 0.01)
    y = 3 * X[:, 0] / X[:, 1] ** 2 + sigma * rng.normal(size=200)
    path, out = tmp_path / "rows.csv", tmp_path / "out"
    rows = np.column_stack([X, y, sigma**-2.0])
    np.savetxt(path, rows, delimiter=",", header="a,b,y,w", comments="")
    arguments = ("discover", path, "--target", "y", "--budget", 20, "--out", out)
    result = run(*arguments, "--weights", "w")
    assert result.exit_code == 0, result.output
    assert "rows.csv: 200 rows, y from a, b, weighted by w" in result.output
    assert "y = 3*a/b**2" in result.output
    assert "160 rows to fit, 40 held out, weighted" in (out / "report.html").read_text()
    again = run(*arguments, "--inputs", "a,b", "--resume")
    assert again.exit_code == 2
    assert "other data or options" in again.stderr


def test_a_search_goes_on(table, tmp_path):
    out = tmp_path / "out"
    arguments = ("discover", table, "--target", "force", "--budget", 20, "--out", out)
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--resume")
    assert result.exit_code == 0
    assert "force = 3*mass/`my radius`**2" in result.output


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
        ("a,b,y\n1,,3\n" + ROWS, ["--target", "y"], "column 'b' has 1 missing value.*row 1"),
        ("a,b,y\n1,2024-05-01,3\n" + ROWS, ["--target", "y"], "column 'b' holds dates.*row 1"),
        ("a,b,y\n1,2,inf\n" + ROWS, ["--target", "y"], "column 'y' holds an infinite.*row 1"),
        ("a,b,y\n" + "1,2,3\n" * 9 + "1,2,4\n", ["--target", "y"], "every input is constant"),
        ("a,b,y\n" + "1,2,3\n2,3,4\n" * 9, ["--target", "y"], "of 18 rows only 2 differ"),
        ("a,y\n" + "1,2\n2,2\n" * 9, ["--target", "y"], "column 'y' is constant"),
        (
            "a,y\n" + "\n".join(f"{k}e-310,{k}" for k in range(9)),
            ["--target", "y"],
            "column 'a' holds denormal numbers only",
        ),
        ("a,b,y\n1,2,3\n", ["--target", "y"], "at least 6 rows; got 1"),
        ("a,b,y\n", ["--target", "y"], "row"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--budget", "-1"], "--budget must be above 0"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--lib", "sinn"], "--lib: .*'sinn'"),
        ("a,b,y\n" + ROWS, ["--target", "Y"], "Did you mean 'y'"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--jobs", "0"], "--jobs must be at least 1"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--resume", "--out", "gone"], "no search.json"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--resume"], "--out"),
        ("a,b,y\n" + ROWS, ["--target", "y", "--weights", "y"], "--weights and --target"),
        (
            "a,b,y\n" + ROWS,
            ["--target", "y", "--inputs", "a,b", "--weights", "b"],
            "--weights and --inputs both name the column 'b'",
        ),
        ("a,b,y\n" + ROWS, ["--target", "y", "--weights", "B"], "no column 'B'.*'b'"),
        (
            "a,b,y,w\n1,2,3,-4\n" + ROWS.replace("\n", ",1\n") + ",1",
            ["--target", "y", "--weights", "w"],
            "weights has -4 in row 0",
        ),
    ],
)
def test_bad_input_is_one_line(tmp_path, text, options, message):
    result = run("discover", write(tmp_path / "rows.csv", text), *options)
    assert result.exit_code == 2
    errors = result.stderr.strip().splitlines()
    assert len(errors) == 1
    assert re.search(message, errors[0])
    assert "Traceback" not in result.output


@pytest.mark.parametrize("option", [("--budget", "-1"), ("--jobs", "0"), ("--lib", "sinn")])
def test_options_are_checked_before_anything_is_printed(table, option):
    assert run("discover", table, "--target", "force", *option).stdout == ""


def test_a_unit_that_is_not_known_is_said(table):
    result = run("discover", table, "--target", "force", "--units", "mass=blorp", "--budget", 1)
    assert "note: 'blorp': no unit that is known here" in result.stderr


def test_few_of_many_names_are_listed():
    assert some(["a", "b"]) == "a, b"
    assert some([f"c{k}" for k in range(200)]) == "c0, c1, c2, c3, c4, c5, ..., c199 (200 columns)"
    assert (counted(1, "row"), counted(2, "row")) == ("1 row", "2 rows")


def found(result):
    """Return the formula that a command printed."""
    assert result.exit_code == 0, result.output
    (formula,) = re.findall(r"^\w+ = (.*)$", result.stdout, flags=re.MULTILINE)
    return formula


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("kepler.csv", "period_years"),
        ("hubble.csv", "velocity_km_s"),
        ("boyle.csv", "pressure_in_hg"),
    ],
)
def test_measured_tables_as_the_readme_says(name, target):
    data = ROOT / "examples" / "data" / name
    result = run("discover", data, "--target", target, "--budget", 30)
    law = re.search(rf"^{target} = .*\n  .*\n", result.stdout, flags=re.MULTILINE)
    assert law is not None
    assert f"```text\n{law[0]}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_eight_planets_take_seconds():
    start = time.monotonic()
    data = ROOT / "examples" / "data" / "kepler.csv"
    formula = found(run("discover", data, "--target", "period_years"))
    assert time.monotonic() - start < 10
    assert re.fullmatch(r"(0\.999\d*\*)?distance_au\*\*(\(3/2\)|1\.(5|49)\d*)", formula)


A, B = X.T


@pytest.mark.parametrize(
    ("a", "b", "y", "law"),
    [
        (A * 1e-300, B, A * 1e-300 * B, "a*b"),
        (A * 1e300, B, A * 1e150 / B, "1e-150*a/b"),
        (10.0 ** (200 * A - 400), B, 10.0 ** (200 * A - 400) * B, "a*b"),
    ],
    ids=["tiny", "huge", "four hundred decades"],
)
def test_extreme_columns(tmp_path, a, b, y, law):
    path = tmp_path / "rows.csv"
    np.savetxt(path, np.column_stack([a, b, y]), delimiter=",", header="a,b,y", comments="")
    assert found(run("discover", path, "--target", "y", "--budget", 20)) == law


def test_three_columns_of_two_hundred(tmp_path):
    rng = np.random.default_rng(0)
    columns = rng.uniform(1, 3, (1000, 200))
    path = tmp_path / "rows.parquet"
    content = {f"c{k}": columns[:, k] for k in range(200)}
    content["y"] = columns[:, 17] * columns[:, 90] ** 2 / columns[:, 150]
    parquet.write_table(pa.table(content), path)
    formula = found(run("discover", path, "--target", "y", "--budget", 30))
    assert formula == "c17*c90**2/c150"


def test_tabs_between_values(tmp_path):
    path = tmp_path / "rows.tsv"
    np.savetxt(path, np.column_stack([X, A * B]), delimiter="\t", header="a\tb\ty", comments="")
    assert found(run("discover", path, "--target", "y", "--budget", 20)) == "a*b"


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["x"] * 200, "column 'b' holds text.*row 1"),
        ([True] * 200, "column 'b' holds booleans.*row 1"),
        ([1.0] * 199 + [None], "column 'b' has 1 missing value, first in row 200"),
        (pa.array(["x"] * 200).dictionary_encode(), "column 'b' holds text.*row 1"),
    ],
    ids=["text", "booleans", "missing", "categories"],
)
def test_types_of_a_parquet_file(tmp_path, column, message):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"a": A, "b": column, "y": A}), path)
    result = run("discover", path, "--target", "y")
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert re.search(message, line)


def steps(tmp_path):
    """Write a table that no formula describes: boxes of random height, five inputs."""
    rng = np.random.default_rng(1)
    rows = rng.uniform(0, 1, (1500, 5))
    heights = rng.normal(size=3**5)
    y = heights[(3 * rows).astype(int) @ 3 ** np.arange(5)]
    path = tmp_path / "steps.csv"
    np.savetxt(path, np.column_stack([rows, y]), delimiter=",", header="a,b,c,d,e,y", comments="")
    return path


def test_the_budget_holds(tmp_path):
    start = time.process_time()
    result = run("discover", steps(tmp_path), "--target", "y", "--budget", 5)
    assert result.exit_code == 0
    assert re.search(r"^[\d.]+ s; the budget was spent", result.stdout, re.MULTILINE)
    # Of a machine that tests share only the processor's time can be told.
    assert time.process_time() - start < 6.5


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupted_then_resumed(tmp_path):
    out = tmp_path / "out"
    options = ["discover", str(steps(tmp_path)), "--target", "y", "--out", str(out)]
    program = "from knotwork_command import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *options, "--budget", "120"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # The first line is printed when rows are read and the search begins.
    assert "1500 rows" in process.stdout.readline()
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "interrupted" in stdout
    assert "note: the search had not come to its end" in stderr
    assert "Traceback" not in stderr
    assert (out / "report.html").exists()
    before = len(json.loads((out / "search.json").read_text())["tried"])
    assert run(*options, "--resume", "--budget", 5).exit_code == 0
    assert len(json.loads((out / "search.json").read_text())["tried"]) >= before


def test_what_is_known_is_kept_to(tmp_path):
    path = tmp_path / "rows.csv"
    rows = np.column_stack([X, X[:, 0] / X[:, 1] ** 2])
    np.savetxt(path, rows, delimiter=",", header="mass,my radius,pull", comments="")
    known = ["--units", "mass=kg", "--units", "my radius=m", "--units", "pull=m/s^2"]
    known += ["--require", "mass", "--symmetry", "even in my radius"]
    result = run("discover", path, "--target", "pull", "--budget", 10, *known)
    assert result.exit_code == 0, result.output
    assert "pull = 1.0*mass/`my radius`**2" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "mass"], "COLUMN=UNIT, as v=m/s; got 'mass'"),
        (["--units", "mass=kg", "--units", "mass=g"], "'mass' twice"),
        (["--units", "mess=kg"], "'mess', which is no input.*Did you mean 'mass'"),
        (["--units", "force=kg*"], "--units force=kg\\*: unit 'kg\\*'"),
        (["--require", "force"], "'force', which is no input"),
        (["--forbid", "mass,my radius"], "every input"),
        (["--symmetry", "round in mass"], "must be 'even in x'"),
    ],
)
def test_what_cannot_be_known_is_one_line(table, options, message):
    result = run("discover", table, "--target", "force", *options)
    assert result.exit_code == 2
    assert re.search(message, result.stderr.strip().splitlines()[-1])


def used(out, X):
    """Return predictions by a saved network as the file beside it says."""
    scaling = json.loads((out / "model.json").read_text())
    rows = (X - np.array(scaling["centre"])) / np.array(scaling["scale"])
    with torch.no_grad():
        n = knotwork.load(out / "model.safetensors")(torch.from_numpy(rows))[:, 0].numpy()
    m = scaling["offset"] + scaling["reach"] * n
    change = {"plain": np.positive, "logarithm": np.exp, "stretched": np.sinh}[scaling["kind"]](m)
    return change if scaling["kind"] == "plain" else scaling["unit"] * change, scaling


def test_what_is_no_law_is_not_shown_as_one(tmp_path):
    out = tmp_path / "out"
    path = steps(tmp_path)
    result = run("discover", path, "--target", "y", "--budget", 2, "--out", out)
    assert result.exit_code == 0, result.output
    assert "no formula found" in result.stdout
    assert "the best approximation: " in result.stdout
    assert "\ny = " not in result.stdout
    assert (out / "approximation.py").exists()
    assert not (out / "formula.py").exists()
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    predicted, scaling = used(out, rows[:, :5])
    error = np.sqrt(np.mean((predicted - rows[:, 5]) ** 2)) / rows[:, 5].std()
    # The rows held out are a fifth of all, and the others have the smaller errors.
    stated = scaling["held_out_error"]
    assert 0.9 * np.sqrt(0.2) * stated < error < 1.2 * stated
    page = (out / "report.html").read_text()
    assert "<h2>Network</h2>" in page
    assert f"{scaling['held_out_error']:.3g} of the target" in page
    assert page.count("<svg") == 2


def test_noise_among_many_columns_has_a_network_too(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 13))
    rows[:, 3] = 1.0
    path, out = tmp_path / "rows.csv", tmp_path / "out"
    names = ",".join(["$a_{", "b c", *(f"c{k}" for k in range(10)), "y"])
    np.savetxt(path, 1e9 * rows, delimiter=",", header=names, comments="")
    result = run("discover", path, "--target", "y", "--budget", 5, "--out", out)
    assert result.exit_code == 0, result.output
    assert "no signal" in result.stdout
    assert "\ny = " not in result.stdout
    space = {}
    exec((out / "approximation.py").read_text(), space)
    np.testing.assert_allclose(space["formula"](*np.ones(12)), 1e9 * rows[:, -1].mean())
    predicted, scaling = used(out, 1e9 * rows[:, :9])
    assert len(scaling["inputs"]) < 12
    assert np.isfinite(predicted).all()
    assert "<h2>Network</h2>" in (out / "report.html").read_text()


def test_files_of_another_verdict_do_not_stay(table, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("approximation.py", "model.safetensors", "model.json"):
        (out / name).write_text("of an earlier run")
    run("discover", table, "--target", "force", "--budget", 20, "--out", out)
    assert (out / "formula.py").exists()
    assert not {path.name for path in out.glob("model*")}
    assert not (out / "approximation.py").exists()


def test_a_few_rows_with_most_of_the_error_are_a_reason_to_be_robust(tmp_path):
    rng = np.random.default_rng(0)
    y = 3 * A + B + 0.05 * rng.normal(size=200)
    y[:3] += 40
    path, out = tmp_path / "rows.csv", tmp_path / "out"
    np.savetxt(path, np.column_stack([X, y]), delimiter=",", header="a,b,y", comments="")
    options = ("discover", path, "--target", "y", "--budget", 2, "--out", out)
    hint = "2 % of the rows hold .* of the squared error; if they may be outliers, try --robust"
    assert re.search(hint, run(*options).stderr)
    assert re.search(hint, (out / "report.html").read_text())
    assert "outliers" not in run(*options, "--robust").stderr
    assert "outliers" not in (out / "report.html").read_text()


def test_names_that_are_no_identifiers_are_quoted(tmp_path):
    path = tmp_path / "rows.csv"
    table = np.column_stack([X, A * B**2])
    np.savetxt(path, table, delimiter=",", header='"a, b",2x,a*b', comments="")
    result = run("discover", path, "--target", "a*b", "--budget", 10)
    assert "\n`a*b` = `2x`**2*`a, b`\n" in result.stdout


def test_formulas_are_shown_with_six_digits_while_a_search_lasts():
    x, y = sympy.symbols("x 2y", positive=True)
    expression = sympy.Float(1.23456789012) * x**2 + sympy.Float("2.5e-7") * sympy.exp(y) / 3
    candidate = Candidate(Fit.of(expression, (x, y)), 0.012345, 0.0234567, 11)
    assert _live(candidate, "my z") == [
        "11",
        "0.0235",
        "`my z` = 1.23457*x**2 + 8.33333e-08*exp(`2y`)",
    ]
