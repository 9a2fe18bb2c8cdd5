import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from click.testing import CliRunner

import knotwork
from knotwork import KAN, cli, kernels
from knotwork.cli.app import app
from knotwork.cli.demo import _is_target
from knotwork.cli.files import write_bytes
from knotwork.io import load, save
from knotwork.kernels.backends import Selection
from knotwork.mlp import MLP


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="knotwork")


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def write_csv(path, header, rows):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def area(tmp_path):
    """Rows of a product, with units that are far from 1."""
    rng = np.random.default_rng(0)
    sides = rng.uniform([1e-3, 200], [5e-3, 900], (60, 2))
    rows = [(a, b, a * b) for a, b in sides]
    return write_csv(tmp_path / "area.csv", "short,long,area", rows)


@pytest.fixture
def line(tmp_path):
    rows = [(x, 3 * x + 2) for x in np.linspace(0, 5, 30)]
    return write_csv(tmp_path / "line.csv", "x,y", rows)


# -- the program -------------------------------------------------------------------------------


def test_version():
    assert done("--version").stdout == f"knotwork {knotwork.__version__}\n"


def test_help_lists_the_commands():
    text = done("--help").stdout
    assert all(command in text for command in ("demo", "fit", "plot", "--debug"))


def test_no_command_shows_the_help_as_bad_usage():
    result = run()
    assert result.exit_code == 2
    assert "Usage: knotwork" in result.stderr


def test_missing_packages_are_named_in_one_line(monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "rich" else object())
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 'knotwork: the command line needs rich: pip install "knotwork[cli]"'


def test_the_entry_point_runs():
    program = Path(sys.executable).parent / "knotwork"
    result = subprocess.run([program, "fitt"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Did you mean 'fit'?" in result.stderr
    assert result.stderr.count("\n") == 1


# -- fit ---------------------------------------------------------------------------------------


def test_fit_tells_how_good_the_network_is(area):
    output = done("fit", area, "--target", "area", "--width", "2").stdout
    assert "area.csv: 48 rows to fit, 12 to test on, inputs short, long" in output
    assert "network [2, 2, 1]" in output
    scores = [line for line in output.splitlines() if line.startswith("test R^2")]
    assert float(scores[0].split()[-1]) > 0.99
    assert "importance" in output


def test_fit_finds_a_formula_and_writes_only_inside_out(line, tmp_path):
    out = tmp_path / "new" / "folder"
    result = done(
        "fit", line, "--target", "y", "--width", "0", "--symbolic", "--lib", "x,exp", "--out", out
    )
    assert "y = 3*x + 2\n" in result.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "formula.tex",
        "formula.txt",
        "history.png",
        "model.safetensors",
        "network.png",
        "network.svg",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["line.csv", "new"]
    assert (out / "formula.txt").read_text() == "y = 3*x + 2\n"
    assert (out / "formula.tex").read_text() == "y = 3 x + 2\n"
    assert (out / "network.png").read_bytes().startswith(b"\x89PNG")
    assert load(out / "model.safetensors").input_names == ("x",)


def test_fit_replaces_what_an_earlier_run_wrote(line, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        done("fit", line, "--target", "y", "--width", "0", "--out", out)
    names = {path.name for path in out.iterdir()}
    assert names == {"history.png", "model.safetensors", "network.png", "network.svg"}


def test_fit_remarks_on_the_formula_of_an_earlier_run(line, tmp_path):
    (tmp_path / "formula.txt").write_text("y = x\n")
    result = done("fit", line, "--target", "y", "--width", "0", "--out", tmp_path)
    assert "formula.txt is from an earlier run" in result.stderr


def test_fit_without_test_rows(line):
    output = done("fit", line, "--target", "y", "--width", "0", "--test-fraction", "0").stdout
    assert "line.csv: 30 rows to fit, inputs x\n" in output
    assert "test" not in output


def test_fit_takes_only_the_inputs_asked_for(tmp_path):
    rows = [(f"body {i}", i, i * i) for i in range(30)]
    path = write_csv(tmp_path / "named.csv", "name,x,y", rows)
    output = done("fit", path, "--target", "y", "--inputs", "x", "--width", "0").stdout
    assert "inputs x\n" in output


@pytest.mark.parametrize(
    ("rows", "inputs", "expected"),
    [(800, 2, ([2, 5, 1], 5)), (354, 10, ([10, 1], 2)), (100, 2, ([2, 1], 5)), (8, 1, ([1, 1], 3))],
)
def test_fit_chooses_a_network_that_the_rows_can_carry(rows, inputs, expected):
    from knotwork.cli.fit import _network

    model = _network(inputs, rows, None, None, 0)
    assert (model.width, model.grid) == expected
    assert model.parameter_count() <= rows


def test_fit_refines_a_network_as_the_rows_allow():
    from knotwork.cli.fit import _refined

    model = KAN([1, 1], grid=3)
    assert [_refined(model, rows).grid for rows in (30, 50, 60, 800)] == [3, 5, 7, 10]


def test_fit_remarks_on_more_parameters_than_rows(line):
    result = done("fit", line, "--target", "y", "--width", "6", "--grid", "10")
    assert "note: the network has" in result.stderr
    assert "warn" not in result.stderr.lower()


def test_fit_remarks_on_a_formula_that_explains_less(tmp_path):
    rows = [(x, np.sin(3 * x)) for x in np.linspace(0, 3, 60)]
    path = write_csv(tmp_path / "wave.csv", "x,y", rows)
    result = done("fit", path, "--target", "y", "--width", "0", "--symbolic", "--lib", "x")
    assert "the formula explains less than the splines" in result.stderr


def test_nothing_is_cut_or_coloured_in_a_pipe(tmp_path):
    name = "a rather long name of a column " * 5
    path = write_csv(tmp_path / "long.csv", f"{name},y", [(i, i) for i in range(30)])
    output = done("fit", path, "--target", "y", "--width", "0").stdout
    assert output.count(name.strip()) == 2
    assert "\x1b" not in output
    assert all(line == line.rstrip() for line in output.splitlines())


# -- info --------------------------------------------------------------------------------------


def test_info_says_which_backend_runs_and_why():
    text = done("info").stdout
    name, why = kernels.selection.explain()
    assert f"backend    {name}: {why}" in text
    assert f"torch      {torch.__version__}" in text
    with kernels.use("reference"):
        assert "reference (plain torch): KNOTWORK_KERNEL=reference" in done("info").stdout


def test_info_says_that_the_library_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("knotwork.cli.info.selection", Selection([str(tmp_path)], "auto"))
    text = done("info").stdout
    assert "reference (plain torch): the compiled library was not built" in text


# -- plot --------------------------------------------------------------------------------------


@pytest.fixture
def saved(area, tmp_path):
    done("fit", area, "--target", "area", "--width", "1", "--out", tmp_path / "fit")
    return tmp_path / "fit" / "model.safetensors"


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot_draws_over_the_rows_of_a_table(saved, area, tmp_path, ending):
    picture = tmp_path / "pictures" / f"network.{ending}"
    result = done("plot", saved, "--data", area, "--out", picture)
    assert picture.stat().st_size > 1000
    assert "[2, 1, 1], 3 edges" in result.stdout
    assert result.stderr == ""


def test_plot_without_data_says_so(saved, tmp_path):
    result = done("plot", saved, "--out", tmp_path / "network.png")
    assert "no --data" in result.stderr


def test_plot_keeps_to_the_domains_of_functions(tmp_path):
    model = KAN([1, 1])
    model.fix_symbolic(0, 0, 0, "log", X=model_rows(0.1, 2))
    save(model, tmp_path / "log.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done("plot", tmp_path / "log.safetensors", "--out", tmp_path / "log.svg")


def model_rows(low, high):
    from torch import float64, linspace

    return linspace(low, high, 100, dtype=float64)[:, None]


def test_plot_takes_all_columns_where_the_network_has_no_names(tmp_path, line, area):
    save(KAN([2, 1]), tmp_path / "plain.safetensors")
    result = done(
        "plot", tmp_path / "plain.safetensors", "--data", line, "--out", tmp_path / "plain.png"
    )
    assert "2 edges" in result.stdout
    result = run(
        "plot", tmp_path / "plain.safetensors", "--data", area, "--out", tmp_path / "plain.png"
    )
    assert result.exit_code == 2
    assert "area.csv has 3 columns, but the network takes 2 inputs" in result.stderr


# -- explain -----------------------------------------------------------------------------------


def test_explain_prints_and_writes_a_page(saved, area, tmp_path):
    page = tmp_path / "pages" / "area.html"
    arguments = ["--data", area, "--target", "area", "--row", 3]
    result = done("explain", saved, *arguments, "--out", page)
    assert re.search(r"input +importance +area", result.stdout)
    assert "prediction for row 3" in result.stdout
    assert "What area depends on" in page.read_text(encoding="utf-8")
    assert result.stderr == ""


def test_explain_without_a_page_takes_two_rows_apart(saved, area):
    assert done("explain", saved, "--data", area).stdout.count("prediction for row") == 2


def test_explain_refuses_what_it_cannot_explain(saved, area, line, tmp_path):
    cases = {
        "there is no column 'short'": ["--data", line],
        "row is 60, but there are 60 rows": ["--data", area, "--row", 60],
        "must end in .html": ["--data", area, "--out", tmp_path / "page.txt"],
        "Missing option '--data'": [],
    }
    for words, arguments in cases.items():
        result = run("explain", saved, *arguments)
        assert result.exit_code == 2
        assert words in result.stderr
    assert not list(tmp_path.glob("page*"))


# -- demo --------------------------------------------------------------------------------------


def test_demo_finds_the_formula_and_draws_it(tmp_path):
    out = tmp_path / "demo"
    result = done("demo", "--width", "2", "--out", out)
    assert "exp(x_2**2 + sin(pi*x_1))\n" in result.stdout
    assert "exactly the function" in result.stdout
    assert result.stdout.count("test RMSE") == 4
    pictures = sorted(path.name for path in out.iterdir())
    assert len(pictures) == 7
    assert all(name in result.stdout for name in pictures)


def test_demo_knows_the_formula_from_others():
    x, y = sympy.symbols("x_1 x_2")
    assert _is_target(sympy.exp(y**2) * sympy.exp(sympy.sin(sympy.pi * x)), [x, y])
    assert not _is_target(sympy.exp(y**2 + sympy.sin(3.14 * x)), [x, y])


# -- what goes wrong ---------------------------------------------------------------------------

GOOD = "x,y\n" + "".join(f"{i},{i * i}\n" for i in range(20))
BAD_TABLES = {
    "empty file": ("", [], "is empty"),
    "header only": ("x,y\n", [], "no rows below it"),
    "text column": ("x,y\n1,2\n2,low\n", [], "column 'y' holds text, first 'low' in row 2"),
    "missing value": ("x,y\n1,2\n,3\n", [], "column 'x' has 1 missing value, first in row 2"),
    "infinite value": ("x,y\n1,2\ninf,3\n", [], "infinite number"),
    "one row": ("x,y\n1,2\n", [], "of 1 rows none would be left"),
    "one row, all to train": ("x,y\n1,2\n", ["--test-fraction", "0"], "same in every row"),
    "constant target": ("x,y\n1,2\n2,2\n3,2\n4,2\n", [], "('y') is the same in every row, 2"),
    "ragged line": ("x,y\n1,2\n2,3,4\n", [], "differ in length"),
    "no header": ("1,2\n3,4\n", [], "the names of the columns"),
    "two columns of a name": ("x,x,y\n1,2,3\n", [], "two columns are named 'x'"),
    "semicolons": ("x;y\n1;2\n", [], "separated by ';'"),
    "target alone": ("y\n1\n2\n", [], "no input columns"),
    "target among the inputs": (GOOD, ["--inputs", "x,y"], "both a target and an input"),
    "unknown input": (GOOD, ["--inputs", "xx"], "no column 'xx' (inputs)"),
    "width in words": (GOOD, ["--width", "wide"], "'--width': 'wide' must be numbers of nodes"),
    "negative width": (GOOD, ["--width", "3,-1"], "must be numbers of nodes"),
    "grid of 0": (GOOD, ["--grid", "0"], "grid must be at least 1; got 0"),
    "grid in words": (GOOD, ["--grid", "fine"], "'--grid'"),
    "negative seed": (GOOD, ["--seed", "-1"], "'--seed'"),
    "unknown function": (GOOD, ["--symbolic", "--lib", "x,sine"], "Did you mean 'sin'?"),
    "functions for nothing": (GOOD, ["--lib", "x"], "--lib names functions for --symbolic"),
    "test rows only": (GOOD, ["--test-fraction", "1.2"], "test_fraction"),
    "unknown option": (GOOD, ["--gird", "3"], "No such option '--gird'"),
}


def assert_one_line(result, message, code=2):
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == "" or "RMSE" not in result.stdout


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_input_ends_with_one_line_and_code_2(case, tmp_path):
    content, options, message = BAD_TABLES[case]
    path = tmp_path / "table.csv"
    path.write_text(content)
    assert_one_line(run("fit", path, "--target", "y", *options), message)


def test_unknown_target_has_a_near_spelling(area):
    assert_one_line(run("fit", area, "--target", "aera"), "Did you mean 'area'?")


def test_missing_file_has_a_near_spelling(area):
    result = run("fit", area.with_name("aera.csv"), "--target", "area")
    assert_one_line(result, "Did you mean 'area.csv'?")


def test_messages_speak_of_options(tmp_path):
    path = write_csv(tmp_path / "named.csv", "name,y", [("a", 1), ("b", 2)])
    assert_one_line(run("fit", path, "--target", "y"), "--inputs A,B names the columns")


@pytest.mark.parametrize("name", ["table.xlsx", "folder"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / "table.xlsx").write_text("")
    (tmp_path / "folder").mkdir()
    assert_one_line(run("fit", tmp_path / name, "--target", "y"), name)


@pytest.mark.parametrize("out", ["line.csv", "line.csv/deeper"])
def test_a_file_in_the_way_of_out_is_found_before_fitting(line, out):
    result = run("fit", line, "--target", "y", "--out", line.parent / out)
    assert_one_line(result, "line.csv is a file, so nothing can be written into it")


def test_a_folder_that_cannot_be_written_to(line, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    result = run("demo", "--out", line.parent)
    assert_one_line(result, "cannot be written to")


def test_plot_refuses_what_it_cannot_draw(saved, line, tmp_path):
    png = ["--out", tmp_path / "x.png"]
    save(MLP([2, 3, 1]), tmp_path / "mlp.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    cases = {
        "must end in one of .png, .svg, .pdf": [saved, "--out", tmp_path / "x.jpg"],
        "there is no file": [tmp_path / "nothing.safetensors", *png],
        "is not a safetensors file": [tmp_path / "broken.safetensors", *png],
        "holds an MLP": [tmp_path / "mlp.safetensors", *png],
        "there is no column 'short'": [saved, "--data", line, *png],
        "no file": [saved, "--data", tmp_path / "no.csv", *png],
        "'--out'": [saved],
    }
    for message, arguments in cases.items():
        assert_one_line(run("plot", *arguments), message)
    assert not (tmp_path / "x.png").exists()


def test_surprises_end_with_code_1_and_a_hint(line, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no\nmemory")

    monkeypatch.setattr(KAN, "fit", fail)
    result = run("fit", line, "--target", "y")
    assert_one_line(result, "RuntimeError: no memory (knotwork --debug ... shows", code=1)
    result = run("--debug", "fit", line, "--target", "y")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_debug_shows_where_bad_input_was_found(tmp_path):
    result = run("--debug", "fit", tmp_path / "no.csv", "--target", "y")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_ctrl_c_ends_with_code_130(line, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(KAN, "fit", stop)
    result = run("fit", line, "--target", "y")
    assert result.exit_code == 130
    assert "error: stopped.\n" in result.stderr


def test_an_unfinished_file_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "formula.txt"
    write_bytes(b"old", path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_bytes(b"new", path)
    assert path.read_bytes() == b"old"
    assert [other.name for other in tmp_path.iterdir()] == ["formula.txt"]


def test_nothing_is_written_without_out(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done("fit", line, "--target", "y", "--width", "0")
    assert [path.name for path in tmp_path.iterdir()] == ["line.csv"]
