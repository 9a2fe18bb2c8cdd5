import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knotwork.data import Dataset, Samples, as_dataset, create_dataset


def product(x):
    return x[:, 0] * x[:, 1]


class TestCreateDataset:
    def test_shapes_dtypes_and_ranges(self):
        data = create_dataset(product, ranges=[(0, 1), (2, 5)], train_num=30, test_num=20)
        assert list(data) == ["train_input", "train_label", "test_input", "test_label"]
        assert data["train_input"].shape == (30, 2)
        assert data["test_label"].shape == (20, 1)
        inputs = torch.cat([data["train_input"], data["test_input"]])
        low, high = torch.tensor([[0.0, 2.0], [1.0, 5.0]], dtype=torch.float64)
        assert ((inputs >= low) & (inputs <= high)).all()
        assert torch.equal(data["train_label"][:, 0], product(data["train_input"]))

    @given(seed=st.integers(0, 2**63 - 1), noise=st.sampled_from([0.0, 0.1]))
    @settings(max_examples=20, deadline=None)
    def test_depends_on_the_seed_alone_and_leaves_global_random_state(self, seed, noise):
        torch_state = torch.random.get_rng_state()
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002

        def drawn():
            return create_dataset(product, train_num=20, test_num=7, seed=seed, noise=noise)

        first, second = drawn(), drawn()
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert torch.equal(torch.random.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002

    def test_global_seed_has_no_influence_but_seed_has(self):
        torch.manual_seed(1)
        first = create_dataset(product, noise=0.1)
        torch.manual_seed(2)
        assert torch.equal(create_dataset(product, noise=0.1)["train_label"], first["train_label"])
        other = create_dataset(product, noise=0.1, seed=1)
        assert not torch.equal(other["train_input"], first["train_input"])

    def test_training_inputs_do_not_depend_on_test_num_or_noise(self):
        few = create_dataset(product, test_num=1)["train_input"]
        many = create_dataset(product, test_num=777, noise=0.5)["train_input"]
        assert torch.equal(few, many)

    def test_float32_is_the_rounded_float64(self):
        double = create_dataset(product, noise=0.1)
        single = create_dataset(product, noise=0.1, dtype=torch.float32)
        for key, values in single.items():
            assert values.dtype == torch.float32
            assert torch.equal(values, double[key].float())

    def test_default_device_of_torch_is_ignored(self):
        with torch.device("meta"):
            data = create_dataset(product, train_num=5, noise=0.1)
        assert data["train_input"].device.type == "cpu"
        assert data["train_label"].isfinite().all()

    def test_noise_is_relative_to_each_output(self):
        def two(x):
            return torch.stack([x[:, 0], 1000 * x[:, 1]], dim=1)

        clean = create_dataset(two, train_num=20000, test_num=20000)
        noisy = create_dataset(two, train_num=20000, test_num=20000, noise=0.1)
        for part in ("train", "test"):
            added = noisy[f"{part}_label"] - clean[f"{part}_label"]
            relative = added.std(dim=0) / clean["train_label"].std(dim=0)
            assert relative == pytest.approx([0.1, 0.1], rel=0.03)
            assert torch.equal(noisy[f"{part}_input"], clean[f"{part}_input"])

    def test_function_may_return_a_column_or_integers_and_change_its_argument(self):
        def careless(x):
            x *= 0
            return x[:, [0]].long() + 3

        data = create_dataset(careless, train_num=4)
        assert (data["train_label"] == 3).all()
        assert data["train_label"].shape == (4, 1)
        assert (data["train_input"] != 0).all()

    def test_gradients_inside_the_function_are_allowed(self):
        def slope(x):
            x.requires_grad_()
            return torch.autograd.grad((x**3).sum(), x)[0]

        data = create_dataset(slope, n_var=1)
        assert torch.allclose(data["train_label"], 3 * data["train_input"] ** 2)
        assert not data["train_label"].requires_grad

    def test_as_many_outputs_as_rows_can_be_meant(self):
        assert create_dataset(lambda x: x, train_num=2)["train_label"].shape == (2, 2)

    @pytest.mark.parametrize(
        ("arguments", "error", "words"),
        [
            ({"f": 3}, TypeError, r"f must be a function .* got 3"),
            (
                {"f": lambda x: x.numpy()[:, 0]},
                TypeError,
                "f must return a torch tensor; .*ndarray",
            ),
            (
                {"f": lambda x: x.sum()},
                ValueError,
                r"\(1000,\) or \(1000, outputs\).*returned \(\)",
            ),
            ({"f": lambda x: x[:-1, 0]}, ValueError, r"for 1000 rows; it returned \(999,\)"),
            ({"f": lambda x: torch.stack([x[:, 0]])}, ValueError, r"\(1, 1000\).*dim=1"),
            ({"f": lambda x: x[:, 0] * x[:, [1]]}, ValueError, r"\(1000, 1000\).*do not mix"),
            (
                {"f": lambda x: (x[:, 0] * x[:, [1]])[:, 5:], "test_num": 10},
                ValueError,
                "995 columns for 1000 rows, but 5 for 10",
            ),
            ({"f": lambda x: x[:, :0]}, ValueError, r"it returned \(1000, 0\)"),
            ({"f": lambda x: x[:, 0] * 1j}, ValueError, "real numbers; it returned complex"),
            (
                {"f": lambda x: 1 / (x[:, 0] > 0)},
                ValueError,
                r"f returned \[inf\] for training row \d+, x = \[-.*rows are not finite",
            ),
            (
                {"f": lambda x: x[:, 0] + (math.nan if len(x) == 9 else 0), "test_num": 9},
                ValueError,
                r"\[nan\] for test row 0.*9 of 9 rows",
            ),
            ({"n_var": 0}, ValueError, "n_var must be at least 1; got 0"),
            ({"n_var": 2.0}, TypeError, "n_var must be a whole number"),
            ({"train_num": 0}, ValueError, "train_num must be at least 1"),
            ({"test_num": -5}, ValueError, "test_num must be at least 1; got -5"),
            ({"seed": -1}, ValueError, "seed must be from 0"),
            ({"seed": None}, TypeError, "seed must be a whole number"),
            ({"noise": -0.1}, ValueError, "noise must be at least 0"),
            ({"noise": math.nan}, ValueError, "noise must be finite"),
            ({"ranges": (1, -1)}, ValueError, r"low below high.*input 0 has \(1, -1\)"),
            ({"ranges": [(0, 1), (2, 2)]}, ValueError, r"input 1 has \(2, 2\)"),
            ({"ranges": (0, math.inf)}, ValueError, r"both finite; input 0 has \(0, inf\)"),
            ({"ranges": [(0, 1)] * 3}, ValueError, r"one pair \(low, high\) or 2 such pairs"),
            ({"ranges": [(0, 1), (2,)]}, ValueError, "ranges must be one pair"),
            ({"ranges": "ab"}, ValueError, "ranges must be one pair.*got 'ab'"),
            ({"dtype": torch.int64}, TypeError, "dtype must be a floating dtype.*torch.int64"),
            ({"device": "nowhere"}, ValueError, "device 'nowhere' cannot be used here"),
            (
                {"f": lambda x: x[:, 0] * 1e300, "dtype": torch.float32},
                ValueError,
                r"train_label has .*e\+\d+ in row 0, column 0 .* too large for float32",
            ),
        ],
    )
    def test_mistakes(self, arguments, error, words):
        with pytest.raises(error, match=words):
            create_dataset(**{"f": product, **arguments})


ROWS = 6
X = np.linspace(-1, 1, 2 * ROWS).reshape(ROWS, 2) ** 3
Y = np.arange(ROWS) / 3
FRAME = pd.DataFrame(X, columns=["length", "mass"])


def accept(data, **options):
    return as_dataset(data, **{"inputs": 2, "outputs": 1, "dtype": torch.float64, **options})


def spoiled(row, column, value):
    values = X.copy()
    values[row, column] = value
    return values


class TestAsDataset:
    @pytest.mark.parametrize(
        ("data", "names"),
        [
            ((torch.tensor(X), torch.tensor(Y)), (None, None)),
            ([X, Y[:, None]], (None, None)),
            ((X.tolist(), Y.tolist()), (None, None)),
            ((FRAME, pd.Series(Y, name="force")), (("length", "mass"), ("force",))),
            ((pd.DataFrame(X), pd.Series(Y)), (None, None)),
            ((pl.from_pandas(FRAME), pl.Series("force", Y)), (("length", "mass"), ("force",))),
            ((pa.table(FRAME), pa.table({"force": Y})), (("length", "mass"), ("force",))),
            (({"train_input": X, "train_label": Y}), (None, None)),
            (Dataset(Samples(torch.tensor(X), torch.tensor(Y))), (None, None)),
            ((X[::-1][::-1], Y.astype(">f8")), (None, None)),
            ((X.astype(object), Y.astype(np.longdouble).astype(object)), (None, None)),
            ((torch.tensor(X.T.copy()).T, torch.tensor(Y).requires_grad_()), (None, None)),
            ((np.ma.masked_array(X, False), Y), (None, None)),
        ],
    )
    def test_reads_what_people_have_without_a_warning(self, data, names):
        result = accept(data)
        assert torch.equal(result.train.inputs, torch.tensor(X))
        assert torch.equal(result.train.targets, torch.tensor(Y)[:, None])
        assert not result.train.targets.requires_grad
        assert (result.input_names, result.target_names) == names
        assert result.test is None
        assert result.train.weights is None
        assert len(result.train) == ROWS

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_create_dataset_goes_through_unchanged(self, dtype):
        data = create_dataset(product, train_num=9, test_num=4, dtype=dtype)
        result = accept(data, dtype=dtype)
        assert torch.equal(result.train.inputs, data["train_input"])
        assert result.test is not None
        assert torch.equal(result.test.targets, data["test_label"])
        assert result.test.inputs.dtype == dtype

    def test_a_dataset_keeps_names_weights_and_test_rows(self):
        train = Samples(torch.tensor(X), torch.tensor(Y)[:, None], torch.arange(ROWS).double())
        data = Dataset(train, Samples(train.inputs[:2], train.targets[:2]), ("p", "q"), ("r",))
        result = accept(data)
        assert torch.equal(result.train.weights, train.weights)
        assert (result.input_names, result.target_names) == (("p", "q"), ("r",))
        assert len(result.test) == 2

    def test_lists_and_frames_of_integers_are_numbers(self):
        frame = pd.DataFrame({"a": [1, 2, 3], "b": pd.array([5, 4, 4], dtype="Int64")})
        result = accept((frame, [1, 2, 3]), dtype=torch.float32)
        assert result.train.inputs.tolist() == [[1, 5], [2, 4], [3, 4]]

    def test_read_only_arrays_are_copied_in_silence(self):
        values = X.copy()
        values.flags.writeable = False
        assert torch.equal(accept((values, Y)).train.inputs, torch.tensor(X))

    def test_arguments_stay_as_they_were(self):
        inputs, targets = torch.tensor(X).requires_grad_(), torch.tensor(Y)
        accept((inputs, targets))
        assert inputs.requires_grad
        assert targets.shape == (ROWS,)

    @pytest.mark.parametrize("labels", [[0, 1, 2, 2, 1, 0], np.array([[0.0]] * 5 + [[2.0]])])
    def test_class_labels_become_integers(self, labels):
        targets = accept((X, labels), classes=True, outputs=3).train.targets
        assert targets.dtype == torch.int64
        assert targets.tolist() == np.ravel(labels).tolist()

    @pytest.mark.parametrize("weights", [[1, 0, 2, 1, 1, 1], np.full((ROWS, 1), 0.5)])
    def test_weights(self, weights):
        result = accept((X, Y), weights=weights, dtype=torch.float64)
        assert result.train.weights.dtype == torch.float64
        assert result.train.weights.tolist() == np.ravel(weights).tolist()

    def test_constant_target_among_the_test_rows_is_fine(self):
        data = {"train_input": X, "train_label": Y, "test_input": X[:1], "test_label": Y[:1]}
        assert len(accept(data).test) == 1

    @pytest.mark.parametrize(
        ("data", "options", "words"),
        [
            (
                (X.astype(np.float32), torch.tensor(Y).float()),
                {},
                r"X, y held float32, now converted to the network's float64\. .*KAN\(\.\.\., dtype",
            ),
            ((X, Y.tolist()), {"dtype": torch.float32}, "X held float64, .* network's float32"),
            ((torch.arange(12).reshape(6, 2), Y), {}, "X held integers, now converted to float64"),
            ((X, np.arange(6)), {}, "y held integers"),
            (
                (X * [1, 0] + [0, 3], Y),
                {},
                "X: column 1 is 3 in all rows and cannot influence the fit",
            ),
            ((FRAME.assign(mass=2), Y), {}, "X: column 'mass' is 2 in all rows"),
            (
                (torch.tensor(X), Y),
                {"device": "meta"},
                r"X lay on cpu, now moved to the network's meta\. Call \.to\('meta'\)",
            ),
        ],
    )
    def test_warnings(self, data, options, words):
        with pytest.warns(UserWarning, match=words) as caught:
            result = accept(data, **options)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert result.train.inputs.dtype == options.get("dtype", torch.float64)
        assert result.train.inputs.device.type == options.get("device", "cpu")

    def test_float_labels_and_integer_labels_do_not_warn(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for dtype in (torch.int32, torch.float32):
                labels = torch.arange(6).to(dtype)
                accept((X, labels), classes=True, outputs=6)

    @pytest.mark.parametrize(
        ("data", "error", "words"),
        [
            # What data is
            (X, TypeError, r"data must be a dict .* a pair \(X, y\) or a Dataset; got ndarray"),
            (None, TypeError, "got NoneType"),
            ((X, Y, Y), ValueError, r"data must be a pair \(X, y\); got 3 items"),
            ({"train_inputs": X}, ValueError, "'train_inputs'; .* Did you mean 'train_input'"),
            ({"train_input": X}, ValueError, "lacks the key 'train_label'"),
            ({}, ValueError, "lacks the key 'train_input' and 'train_label'"),
            (
                {"train_input": X, "train_label": Y, "test_input": X},
                ValueError,
                "lacks the key 'test_label'",
            ),
            # What its parts are
            ((None, Y), TypeError, "X must be a tensor, an array, .* got NoneType"),
            ((X, 3.0), TypeError, "y must be .* got float"),
            ((iter(X), Y), TypeError, "X must be .* got"),
            ((X, "force"), TypeError, "y must be .* got str"),
            ((list(torch.tensor(X)), Y), TypeError, "X is a list of tensors: .*torch.stack"),
            ((pl.from_pandas(FRAME).lazy(), Y), TypeError, r"X is a lazy frame: .*collect\(\)"),
            ((torch.tensor(X).to_sparse(), Y), ValueError, r"X is a sparse tensor: .*to_dense\(\)"),
            # Shapes
            ((X[:, 0], Y), ValueError, r"X must have two dimensions.*shape \(6,\).*reshape\(-1, 1"),
            ((X, Y[:, None, None]), ValueError, r"y must have two dimensions.*shape \(6, 1, 1\)"),
            ((X[:0], Y[:0]), ValueError, "X has no rows"),
            (([], []), ValueError, "X has no rows"),
            ((X, Y[:0]), ValueError, "y has no rows"),
            (
                (X[:, [0, 1, 1]], Y),
                ValueError,
                r"X has 3 columns, but the network has 2 inputs: .* KAN\(width=\[3, \.\.\.\]\)\.$",
            ),
            ((X.T, Y), ValueError, "X has 6 columns, but the network has 2 .*transposed"),
            (
                (X, X),
                ValueError,
                r"y has 2 columns, but the network has 1 output: .* KAN\(width=\[\.\.\., 2\]\)",
            ),
            ((X, Y[:5]), ValueError, "X has 6 rows, but y has 5"),
            (([[1, 2], [3]], Y), ValueError, "X is no table: row 0 has length 2, row 1 length 1"),
            (
                {"train_input": X, "train_label": Y, "test_input": X[:, :1], "test_label": Y},
                ValueError,
                r"data\['test_input'\] has 1 column, but the network has 2 inputs",
            ),
            # Values
            ((spoiled(4, 1, math.nan), Y), ValueError, "X has nan in row 4, column 1 .*Drop"),
            ((spoiled(0, 0, -math.inf), Y), ValueError, "X has -inf in row 0, column 0"),
            (([[0.0, 10**400], [1.0, 2.0]], [1, 2]), ValueError, "X has inf in row 0, column 1"),
            ((X, np.full(6, math.nan)), ValueError, r"y has nan in row 0.* and 5 more"),
            (
                (FRAME.assign(mass=[1, None] * 3), Y),
                ValueError,
                "X has nan in row 1, column 'mass'",
            ),
            ((np.ma.masked_array(X, X > 0.5), Y), ValueError, "X has nan in row"),
            (
                (X, pl.Series("force", [1, 2, None, 4, 5, 6])),
                ValueError,
                "y has nan in row 2, column 'force'",
            ),
            (
                {"train_input": spoiled(2, 0, math.nan), "train_label": Y},
                ValueError,
                r"data\['train_input'\] has nan in row 2, column 0",
            ),
            (
                (X, 0 * Y + 2.5),
                ValueError,
                "y: output 0 is the same in every row, 2.5: .*nothing to",
            ),
            ((X, pd.Series([4] * 6, name="z")), ValueError, r"output 0 \('z'\) is the same"),
            ((X[:1], Y[:1]), ValueError, "nothing to learn"),
            # Columns that are no numbers
            (
                (FRAME.assign(mass=list("abcdef")), Y),
                ValueError,
                "'mass' holds text .*'a' in row 0",
            ),
            (
                (pl.DataFrame({"a": [1.0], "city": ["Bonn"]}), [1]),
                ValueError,
                "X: column 'city' holds text .*'Bonn'.*encode it",
            ),
            ((FRAME.assign(mass=[1, None, "x", 2, 3, 4]), Y), ValueError, "'x' in row 2"),
            (
                (FRAME.assign(mass=pd.Categorical(list("uvuvuv"))), Y),
                ValueError,
                "'mass' holds text",
            ),
            ((FRAME.assign(mass=[True, False] * 3), Y), ValueError, "'mass' holds booleans"),
            ((FRAME.assign(mass=[1j] * 6), Y), ValueError, "'mass' holds complex numbers"),
            (
                (FRAME.assign(mass=pd.date_range("2020-01-01", periods=6)), Y),
                ValueError,
                "'mass' holds dates or times .*'2020-01-01.*days since",
            ),
            (
                (FRAME.assign(mass=[{}] * 6), Y),
                ValueError,
                "'mass' holds objects that are no numbers",
            ),
            ((FRAME.set_axis(["a", "a"], axis=1), Y), ValueError, "two columns of the same name"),
            (([[1, 2], [3, "4"]], [1, 2]), ValueError, "X holds text .*'4' in row 1, column 1"),
            ((X, X[:, 0] > 0), ValueError, "y holds booleans .*'False' in row 0"),
            ((torch.tensor(X) > 0, Y), ValueError, "X holds booleans"),
            ((torch.tensor(X) + 0j, Y), ValueError, "X holds complex numbers: give real"),
            ((X.astype("M8[s]"), Y), ValueError, "X holds dates or times"),
            # Names
            (
                {
                    "train_input": FRAME,
                    "train_label": Y,
                    "test_input": FRAME[["mass", "length"]],
                    "test_label": Y,
                },
                ValueError,
                r"data\['test_input'\] has the columns \['mass', 'length'\], but .*same order",
            ),
            (
                Dataset(Samples(torch.tensor(X), torch.tensor(Y)), None, ("a",)),
                ValueError,
                r"data has 1 name for the 2 columns of data\.train\.inputs",
            ),
        ],
    )
    def test_mistakes(self, data, error, words):
        with pytest.raises(error, match=words):
            accept(data)

    @pytest.mark.parametrize(
        ("weights", "words"),
        [
            ([1.0] * 5, "X has 6 rows, but weights has 5"),
            ([1, 1, -2, 1, 1, 1], "weights has -2 in row 2 .* at least 0"),
            ([1, 1, math.nan, 1, 1, 1], "weights has nan in row 2"),
            ([0] * 6, "weights are all 0"),
            (X, r"weights must hold one weight a row, shape \(rows,\); got \(6, 2\)"),
            (torch.tensor(1.0), r"weights must hold one weight a row.*got \(\)"),
            (list("abcdef"), "weights holds text"),
        ],
    )
    def test_wrong_weights(self, weights, words):
        with pytest.raises(ValueError, match=words):
            accept((X, Y), weights=weights)

    def test_weights_given_twice(self):
        train = Samples(torch.tensor(X), torch.tensor(Y), torch.ones(ROWS).double())
        with pytest.raises(ValueError, match="weights are given twice"):
            accept(Dataset(train), weights=[1] * 6)

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            ([0, 1, 2, 3, 1, 0], "class label 3 in row 3 .* network has 3 outputs: .* 0 to 2"),
            ([0, -1, 1, 2, 1, 0], "class label -1 in row 1"),
            ([0, 0.5, 1, 2, 1, 0], "class label 0.5 in row 1 .* whole numbers"),
            (np.eye(6)[:, :3], r"one class label a row.*got \(6, 3\).*argmax\(1\)"),
            (np.zeros((6, 1, 1)), r"one class label a row.*got \(6, 1, 1\)"),
            (list("aabbcc"), "y holds text .*class labels as 0, 1, 2"),
            ([1] * 6, "y: the class label is the same in every row, 1"),
            ([], "y has no rows"),
            ([0, 1, 2], "X has 6 rows, but y has 3"),
            ([0, 1, 2, None, 1, 0], "y has nan in row 3"),
        ],
    )
    def test_wrong_class_labels(self, labels, words):
        with pytest.raises(ValueError, match=words):
            accept((X, labels), classes=True, outputs=3)

    def test_overflow_in_the_dtype_of_the_network(self):
        values = spoiled(3, 1, 1e300).tolist()
        with pytest.raises(ValueError, match=r"1e\+300 in row 3, column 1 .*too large for float32"):
            accept((values, Y.tolist()), dtype=torch.float32)

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"dtype": torch.int32}, TypeError, "dtype must be a floating dtype"),
            ({"dtype": "float64"}, TypeError, "dtype must be a floating dtype"),
            ({"device": "nowhere"}, ValueError, "device 'nowhere' cannot be used here"),
        ],
    )
    def test_wrong_options(self, options, error, words):
        with pytest.raises(error, match=words):
            accept((X, Y), **options)


def test_samples_change_dtype_but_labels_stay_integers():
    samples = Samples(torch.zeros(2, 1), torch.tensor([0, 1]), torch.ones(2)).to(torch.float64)
    assert samples.inputs.dtype == samples.weights.dtype == torch.float64
    assert samples.targets.dtype == torch.int64
    assert samples.to(device="meta").targets.device.type == "meta"
