import datetime
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from knotwork.data import Table, as_dataset, read_table

NUMBERS = pd.DataFrame(np.linspace(-1, 1, 12).reshape(6, 2) ** 3, columns=["length", "mass"])
CSV = "length,mass,count,force\n0.1,2,7,1.5\n0.2,3,8,-3e-2\n0.4, 5,9,4\n"


@pytest.fixture
def write(tmp_path):
    def written(content, name="data.csv"):
        path: Path = tmp_path / name
        if isinstance(content, dict):
            parquet.write_table(pa.table(content), path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


class TestReadTable:
    @pytest.mark.parametrize("name", ["data.csv", "data.TSV", "data.parquet"])
    def test_reads_every_format(self, write, name):
        rows = [[0.1, 2, 7], [0.2, 3, 8], [0.4, 5, 9]]
        if name.endswith("parquet"):
            columns = np.array(rows).T
            content = {
                "length": columns[0].astype(np.float32),
                "mass": pa.array([2, 3, 5], pa.decimal128(4, 1)),
                "count": columns[2].astype(np.uint8),
                "force": [1.5, -0.03, 4.0],
            }
        else:
            content = CSV.replace(",", "\t") if name == "data.TSV" else CSV
        table = read_table(write(content, name), target="force")
        assert table.input_names == ("length", "mass", "count")
        assert table.target_names == ("force",)
        assert np.allclose(table.X, rows, rtol=1e-6, atol=0)
        assert table.y.tolist() == [[1.5], [-0.03], [4.0]]
        assert table.X.dtype == table.y.dtype == np.float64
        assert len(table) == 3

    def test_columns_come_in_the_order_asked_for(self, write):
        table = read_table(str(write(CSV)), target=["force", "mass"], inputs=["count", "length"])
        assert table.X[0].tolist() == [7, 0.1]
        assert table.y[0].tolist() == [1.5, 2]

    @pytest.mark.parametrize(
        "content",
        [
            "\ufeff" + CSV,
            CSV.replace("\n", "\r\n"),
            "\n\n" + CSV.replace("\n", "\n\n"),
            CSV.replace("length,mass", ' "length" ,mass'.replace(' "length" ', '"length"')),
            CSV.replace("mass", " mass "),
            CSV.replace("0.2,3", '"0.2","3"'),
            CSV.rstrip("\n"),
        ],
        ids=["byte order mark", "crlf", "blank lines", "quoted name", "blanks", "quotes", "no end"],
    )
    def test_dialects(self, write, content):
        table = read_table(write(content), target="force")
        assert table.input_names == ("length", "mass", "count")
        assert table.X.tolist() == [[0.1, 2, 7], [0.2, 3, 8], [0.4, 5, 9]]

    def test_unused_columns_may_hold_anything(self, write):
        text = "city,,x,y\nBonn,1,2,3\n\xff,,4,5\n".encode("latin-1")
        table = read_table(write(text), target="y", inputs=["x"])
        assert table.X.tolist() == [[2], [4]]
        content = {"a.b": [1, 2], "a": [3, 4], "c": ["u", None]}
        table = read_table(write(content, "data.parquet"), target="a", inputs=["a.b"])
        assert table.X.tolist() == [[1], [2]]

    def test_integers_turning_into_fractions_late_in_a_file(self, write):
        lines = "1,2\n" * 100_000 + "1.5,2.5\n"
        table = read_table(write("x,y\n" + lines), target="y")
        assert table.X[-1, 0] == 1.5

    @given(
        st.lists(
            st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2),
            min_size=1,
            max_size=8,
        )
    )
    @settings(max_examples=25, deadline=None)
    def test_csv_round_trip_is_exact(self, tmp_path_factory, rows):
        path = tmp_path_factory.mktemp("round") / "data.csv"
        pd.DataFrame(rows, columns=["x", "y"]).to_csv(path, index=False)
        table = read_table(path, target="y")
        assert np.array_equal(np.hstack([table.X, table.y]), np.array(rows))

    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
    def test_parquet_round_trip(self, tmp_path, library):
        path = tmp_path / "data.parquet"
        if library == "pandas":
            NUMBERS.to_parquet(path)
        elif library == "polars":
            pl.from_pandas(NUMBERS).write_parquet(path)
        else:
            parquet.write_table(pa.table(NUMBERS), path)
        table = read_table(path, target="mass")
        assert np.array_equal(np.hstack([table.X, table.y]), NUMBERS.to_numpy())

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", r"^data\.csv is empty"),
            ("\n\n", "is empty"),
            ("x,y\n\n", "has a header, but no rows"),
            ("x,y", "has a header, but no rows"),
            ("x,z\n1,2\n", r"no column 'y' \(target\); the columns are 'x', 'z'"),
            ("x,yy\n1,2\n", "Did you mean 'yy'"),
            ("x;y\n1;2\n", "separated by ';'.*commas"),
            ("1.5,2\n1,2\n", "The first line must hold the names"),
            ("x,x,y\n1,2,3\n", "two columns are named 'x': rename one"),
            (",x,y\n0,1,2\n", r"column 1 has no name.*inputs=\[...\]"),
            ("y\n1\n", "no input columns are left beside the target 'y'"),
            ("x,y\n1,2\n\n3,high\n", r"column 'y' holds text, first 'high' in row 2 \(line 4 of"),
            ('x,note,y\n1,"a\nb",2\n3,c,d\n', r"'note' holds text, first 'a\\nb' in row 1"),
            ("x,y\n" + "u" * 99 + ",2\n", r"first 'u{37}\.\.\.' in row 1.*inputs=\[\.\.\.\]"),
            ("x,y\nTrue,2\n", r"column 'x' holds booleans, first 'True' in row 1 \(line 2"),
            ("x,y\n2024-02-01,2\n", "column 'x' holds dates or times, first '2024-02-01'"),
            ("x,y\n12:30,2\n", "column 'x' holds dates or times, first '12:30'"),
            ('x,y\n"1,5",2\n', "numbers with a comma, first '1,5' in row 1.*decimal point"),
            ("x,y\n1,2\n,3\n \t,4\n", r"column 'x' has 2 missing values, first in row 2 \(line 3"),
            ("x,y\n1,2\n1,NA\n", "column 'y' has 1 missing value, first in row 2"),
            ("x,y\n1,2\n1,nan\n", "column 'y' has 1 missing value"),
            ("x,y\n1,2\n1,-inf\n", "'y' holds an infinite number, first '-inf' in row 2"),
            ("x,y\n1,2\n1,1e999\n", "'y' holds an infinite number, first '1e999' in row 2"),
            (
                "x,y\n1,2\n3\n",
                r"row 2 \(line 3 of the file\) and the header differ in length, 1 and 2",
            ),
            ("x,y\n1,2,\n", "row 1 .* differ in length, 3 and 2"),
            ("x,y\n1_0,2\n", "'x' holds text, first '1_0' in row 1"),
            ("x,y\n\uff11,2\n", "cannot be read: .*conversion error to double"),
            (b"\xff\xfex\x00,\x00y\x00\n\x00", "does not begin as UTF-8 text"),
            ("x" * 200_000 + ",y\n1,2\n", "cannot be read: field larger than"),
            ("x,y\n" + "x" * 200_000 + ",1\n", "cannot be read: field larger than"),
        ],
    )
    def test_broken_csv(self, write, content, words):
        with pytest.raises(ValueError, match=words) as caught:
            read_table(write(content), target="y")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"PAR1 but not really", "is no Parquet file, or a broken one"),
            (b"", "is no Parquet file"),
            ({"x": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}, "has no rows"),
            ({"x": [1, 2]}, "no column 'y'"),
            ({"x": [None, "Bonn"], "y": [1, 2]}, "'x' holds text, first 'Bonn' in row 2"),
            ({"x": [True, False], "y": [1, 2]}, "'x' holds booleans, first 'True' in row 1"),
            (
                {"x": [datetime.date(2020, 1, 1)], "y": [1]},
                "'x' holds dates or times, first '2020",
            ),
            ({"x": [[1], [2]], "y": [1, 2]}, "'x' holds objects that are no numbers"),
            ({"x": [1, None, None], "y": [1, 2, 3]}, "'x' has 2 missing values, first in row 2"),
            ({"x": [1.0, math.nan], "y": [1, 2]}, "'x' has 1 missing value, first in row 2"),
            (
                {"x": [1.0, math.inf], "y": [1, 2]},
                "'x' holds an infinite number, first in row 2: drop that row",
            ),
            ({"x": pa.nulls(2), "y": [1, 2]}, "'x' has 2 missing values"),
        ],
    )
    def test_broken_parquet(self, write, content, words):
        with pytest.raises(ValueError, match=words) as caught:
            read_table(write(content, "data.parquet"), target="y")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"target": "forse"}, ValueError, "Did you mean 'force'"),
            ({"target": []}, ValueError, "target is empty"),
            ({"target": 3}, TypeError, "target must be the name of a column .* got 3"),
            ({"target": ["force", 3]}, TypeError, "target must be the name of a column"),
            ({"target": ["mass", "mass"]}, ValueError, "target names the column 'mass' twice"),
            ({"target": "force", "inputs": ["force"]}, ValueError, "both a target and an input"),
            ({"target": "force", "inputs": ["masse"]}, ValueError, r"\(inputs\).*mean 'mass'"),
            ({"target": "force", "inputs": []}, ValueError, "no input columns are left"),
            ({"target": "force", "inputs": ["mass"] * 2}, ValueError, "inputs names .* twice"),
        ],
    )
    def test_wrong_columns(self, write, options, error, words):
        with pytest.raises(error, match=words):
            read_table(write(CSV), **options)

    def test_wrong_paths(self, write, tmp_path):
        write(CSV)
        with pytest.raises(
            FileNotFoundError, match=r"no file .*data\.cvs\. Did you mean 'data\.csv"
        ):
            read_table(tmp_path / "data.cvs", target="force")
        with pytest.raises(FileNotFoundError, match="there is no file"):
            read_table(tmp_path / "nowhere" / "data.csv", target="force")
        with pytest.raises(ValueError, match="is a folder"):
            read_table(tmp_path, target="force")
        with pytest.raises(ValueError, match=r"must be \.csv, \.tsv or \.parquet; got '\.xlsx'"):
            read_table(write(CSV, "data.xlsx"), target="force")

    def test_without_pyarrow(self, write, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r'pip install "knotwork\[tables\]"'):
            read_table(write(CSV), target="force")


class TestTableDataset:
    table = Table(np.arange(20.0).reshape(10, 2), np.arange(10.0)[:, None], ("a", "b"), ("y",))

    def test_split_uses_each_row_once_and_only_the_seed(self):
        data = self.table.dataset(test_fraction=0.3, seed=4)
        assert (len(data.train), len(data.test)) == (7, 3)
        rows = torch.cat([data.train.targets, data.test.targets])[:, 0]
        assert sorted(rows.tolist()) == list(range(10))
        assert torch.equal(data.train.inputs[:, 0], 2 * data.train.targets[:, 0])
        again = self.table.dataset(test_fraction=0.3, seed=4)
        assert torch.equal(data.test.inputs, again.test.inputs)
        other = self.table.dataset(test_fraction=0.3, seed=5)
        assert not torch.equal(data.test.inputs, other.test.inputs)

    def test_names_arrive_in_the_dataset(self):
        data = as_dataset(self.table.dataset(0), inputs=2, outputs=1, dtype=torch.float64)
        assert data.test is None
        assert data.input_names == ("a", "b")
        assert data.target_names == ("y",)

    def test_any_fraction_gives_a_test_row(self):
        assert len(self.table.dataset(0.001).test) == 1

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"test_fraction": -0.1}, ValueError, "test_fraction must be at least 0"),
            ({"test_fraction": 1.0}, ValueError, "of 10 rows none would be left to train on"),
            ({"test_fraction": "half"}, TypeError, "test_fraction must be a number"),
            ({"seed": -1}, ValueError, "seed must be at least 0"),
        ],
    )
    def test_mistakes(self, options, error, words):
        with pytest.raises(error, match=words):
            self.table.dataset(**options)


def test_a_message_stays_short_whatever_the_columns_are_called(write):
    for text in (f"{'x' * 10**5},z\n1,2\n", f"{'x' * 10**5},y\na,2\n"):
        with pytest.raises(ValueError, match=r"no column 'y'|holds text") as told:
            read_table(write(text), target="y")
        assert len(str(told.value)) < 500
