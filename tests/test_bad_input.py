"""What the public doors say to bad input, and that they change nothing then."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from knotwork import KAN, KANLayer, SymbolicFunction

ERRORS = (ValueError, TypeError, IndexError)
Act = Callable[[KAN], object]


def rows(count: int = 60, inputs: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, inputs, generator=generator, dtype=torch.float64) * 2 - 1


X = rows()
Y = torch.sin(3 * X[:, [0]]) + X[:, [1]]


def spoiled(values: Tensor, value: float) -> Tensor:
    values = values.clone()
    values[7, -1] = value
    return values


NAN, INF = spoiled(X, math.nan), spoiled(X, math.inf)
META = torch.zeros(60, 2, dtype=torch.float64, device="meta")
TEXT = np.array([["a", "b"]] * 60, dtype=object)


@pytest.fixture(scope="module")
def fitted() -> KAN:
    model = KAN([2, 2, 1], grid=3)
    model.fit((X, Y), steps=3)
    model.fix_symbolic(0, 0, 0, "sin")
    return model


def check(model: KAN, act: Act, words: str) -> None:
    """Assert that `act` raises a message that holds all words, and leaves the network alone."""
    model = model.copy()
    before = {n: v.clone() for n, v in model.state_dict().items() if isinstance(v, Tensor)}
    with pytest.raises(ERRORS) as caught:
        act(model)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    message = str(caught.value)
    for word in words.split("|"):
        assert word in message, f"{word!r} is not in: {message}"


def case(name: str, act: Act, words: str) -> Any:
    return pytest.param(act, words, id=name)


def fit(*data: Any, **options: Any) -> Act:
    return lambda model: model.fit(data if len(data) == 2 else data[0], steps=2, **options)


FIT_DATA = [
    case("nan", fit(NAN, Y), "X has nan in row 7|Drop such rows"),
    case("inf", fit(INF, Y), "X has inf in row 7|must be finite"),
    case("nan target", fit(X, spoiled(Y, math.nan)), "y has nan in row 7|Drop such rows"),
    case("columns", fit(rows(60, 3), Y), "X has 3 columns|network has 2 inputs|KAN(width=[3"),
    case("transposed", fit(X.T, Y), "X has 60 columns|transposed"),
    case("vector", fit(X[:, 0], Y), "X must have two dimensions|reshape(-1, 1)"),
    case("rows", fit(X, Y[:-1]), "X has 60 rows, but y has 59|same rows"),
    case("outputs", fit(X, torch.cat([Y, Y], dim=1)), "y has 2 columns|KAN(width=[..., 2])"),
    case("empty", fit(X[:0], Y[:0]), "X has no rows"),
    case("flat", fit(X, torch.ones(60)), "y: output 0 is the same in every row|Check"),
    case("text", fit(TEXT, Y), "X holds text|encode it"),
    case("objects", fit(np.array([[{}, 1.0]] * 60), Y), "X holds objects|turn them into numbers"),
    case("booleans", fit(X > 0, Y), "X holds booleans|0 and 1"),
    case("complex", fit(X + 1j, Y), "X holds complex|columns of their own"),
    case("ragged", fit([[1.0, 2.0], [1.0]], [1.0, 2.0]), "X is no table|same number of values"),
    case("scalar", fit(3.0, Y), "X must be a tensor"),
    case("none", fit(None), "data must be a dict|(X, y)"),
    case("triple", fit((X, Y, Y)), "data must be a pair (X, y)"),
    case("key", fit({"train_inputs": X, "train_label": Y}), "data|Did you mean 'train_input'?"),
    case("half a test", fit({"train_input": X, "train_label": Y, "test_input": X}), "'test_label'"),
    case("meta X", fit(META, Y), "X|meta"),
    case("meta y", fit(X, META[:, :1]), "y|meta"),
    case("loader", lambda m: m.fit(DataLoader([1, 2]), steps=1), "data|(X, y)"),  # pyright: ignore
    case("nan in loader", lambda m: m.fit(DataLoader([(NAN, Y)], batch_size=None)), "X has nan"),  # pyright: ignore
    case("train", lambda model: model.train("data"), "data must be a dict"),
    case("train options", lambda model: model.train(False, steps=3), "train(dataset, ...)"),
]


@pytest.mark.parametrize(("act", "words"), FIT_DATA)
def test_data_of_fit(fitted: KAN, act: Act, words: str) -> None:
    check(fitted, act, words)


FIT_OPTIONS = [
    case("opt", fit(X, Y, opt="adam"), "opt must be one of|Did you mean 'Adam'?"),
    case("opt type", fit(X, Y, opt=3), "opt must be one of"),
    case("unknown option", fit(X, Y, optimizer="LM"), "optimizer"),
    case("loss", fit(X, Y, loss="rmse"), "loss must be one of|mse"),
    case("LM and huber", fit(X, Y, opt="LM", loss="huber"), "loss|opt='LBFGS'"),
    case("loss of a number", fit(X, Y, loss=lambda p, t: 1.0), "loss returned|shape (60,)"),
    case("loss of a matrix", fit(X, Y, loss=lambda p, t: p - t), "loss returned shape (60, 1)"),
    case("lamb", fit(X, Y, lamb=-1.0), "lamb must be at least 0"),
    case("lamb nan", fit(X, Y, lamb=math.nan), "lamb must be finite"),
    case("lamb text", fit(X, Y, lamb="1"), "lamb must be a number"),
    case("lamb_l1", fit(X, Y, lamb_l1=-1), "lamb_l1 must be at least 0"),
    case("smoothness", fit(X, Y, smoothness=-1e-3), "smoothness must be at least 0"),
    case("smooth Adam", fit(X, Y, smoothness=1, opt="Adam"), "smoothness|opt='LM'|lamb_coefdiff"),
    case("lr", fit(X, Y, opt="Adam", lr=0), "lr must be above 0"),
    case("batch_size", fit(X, Y, opt="Adam", batch_size=0), "batch_size must be at least 1"),
    case("LM batch_size", fit(X, Y, batch_size=10), "batch_size needs opt='Adam'"),
    case("patience", fit(X, Y, patience=3), "patience needs test rows|test_input"),
    case("callbacks", fit(X, Y, callbacks=[3]), "callbacks"),
    case("callbacks function", fit(X, Y, callbacks=print), "callbacks|list"),
    case("seed", fit(X, Y, opt="Adam", seed="a"), "seed must be a whole number"),
    case("seed of LM", fit(X, Y, seed="a"), "seed must be a whole number"),
    case("weights length", fit(X, Y, weights=torch.ones(3)), "weights has 3"),
    case("weights sign", fit(X, Y, weights=-torch.ones(60)), "weights|at least 0"),
    case("weights zero", fit(X, Y, weights=torch.zeros(60)), "weights are all 0|above 0"),
    case("weights nan", fit(X, Y, weights=torch.full((60,), math.nan)), "weights has nan"),
    case("labels", fit(X, Y, loss="cross_entropy"), "y has the class label|whole numbers"),
    case("steps", lambda model: model.fit((X, Y), steps=-1), "steps must be at least 0"),
    case("steps type", lambda model: model.fit((X, Y), steps=1.5), "steps must be a whole number"),
    case("steps bool", lambda model: model.fit((X, Y), steps=True), "steps must be a whole number"),
]


@pytest.mark.parametrize(("act", "words"), FIT_OPTIONS)
def test_options_of_fit(fitted: KAN, act: Act, words: str) -> None:
    check(fitted, act, words)


def with_x(door: str, value: Any, *args: Any) -> Act:
    return lambda model: getattr(model, door)(*args, X=value)


LOOKING = [
    "attribute",
    "prune",
    "prune_edges",
    "prune_nodes",
    "prune_inputs",
    "plot",
    "update_grid",
]
EDGE_DOORS = {"suggest_symbolic": (0, 1, 0), "fix_symbolic": (0, 1, 0, "sin")}
X_DOORS = [(door, ()) for door in LOOKING] + list(EDGE_DOORS.items())
X_VALUES = {
    "nan": (NAN, "X|finite"),
    "inf": (INF, "X|finite"),
    "array": (X.numpy(), "X must be a tensor|torch.as_tensor"),
    "list": ([[0.0, 1.0]], "X must be a tensor"),
    "columns": (rows(60, 3), "X has shape (60, 3)|2 inputs"),
    "dtype": (X.float(), "X is torch.float32|X.to(torch.float64)"),
    "integers": (torch.ones(60, 2).long(), "X is torch.int64|X.to(torch.float64)"),
    "meta": (META, "X is on meta|X.to('cpu')"),
    "no rows": (X[:0], "X|row"),
}


@pytest.mark.parametrize("kind", X_VALUES)
@pytest.mark.parametrize(("door", "args"), X_DOORS, ids=[door for door, _ in X_DOORS])
def test_rows_given_to_the_other_doors(fitted: KAN, door: str, args: Any, kind: str) -> None:
    value, words = X_VALUES[kind]
    check(fitted, with_x(door, value, *args), words)


@pytest.mark.parametrize("kind", ["array", "list", "columns", "dtype", "integers", "meta"])
def test_rows_given_to_forward(fitted: KAN, kind: str) -> None:
    value, words = X_VALUES[kind]
    check(fitted, lambda model: model(value), words)


@pytest.mark.parametrize("shape", [(2,), (3, 4, 2)])
def test_update_grid_takes_rows_only(fitted: KAN, shape: tuple[int, ...]) -> None:
    value = torch.zeros(shape, dtype=torch.float64)
    check(fitted, with_x("update_grid", value), f"X|{shape}")


EDGES = [
    case("layer alone", lambda m: m[0], "l, i, j"),  # pyright: ignore
    case("two indices", lambda m: m[0, 0], "l, i, j"),  # pyright: ignore
    case("text", lambda m: m["a"], "l, i, j"),  # pyright: ignore
    case("layer", lambda m: m[2, 0, 0], "l is 2|2 layers: use 0 to 1"),
    case("input", lambda m: m[0, 5, 0], "i is 5|use 0 to 1"),
    case("output", lambda m: m[0, 0, -3], "j is -3|2 outputs of layer 0"),
    case("fraction", lambda m: m[0, 0.5, 0], "i must be a whole number"),  # pyright: ignore
    case("fix", lambda m: m.fix_symbolic(9, 0, 0, "sin"), "l is 9|use 0 to 1"),
    case("unfix", lambda m: m.unfix_symbolic(0, 1, 1), "not symbolic|nothing to undo"),
    case("spelling", lambda m: m.fix_symbolic(0, 1, 0, "sine"), "function|Did you mean 'sin'?"),
    case("no function", lambda m: m.fix_symbolic(0, 1, 0, None), "function must be the name"),
    case("lib spelling", lambda m: m.suggest_symbolic(0, 1, 0, lib=["tanhh"]), "lib|'tanh'"),
    case(
        "lib text", lambda m: m.suggest_symbolic(0, 1, 0, lib="sin"), "lib must be a list|['sin']"
    ),
    case("lib number", lambda m: m.suggest_symbolic(0, 1, 0, lib=3), "lib must be a list"),
    case("lib empty", lambda m: m.suggest_symbolic(0, 1, 0, lib=[]), "lib is empty"),
    case("few rows", with_x("suggest_symbolic", X[:3], 0, 1, 0), "X|5"),
    case("few rows to fix", with_x("fix_symbolic", X[:3], 0, 0, 0, "cos"), "X|5"),
    case("auto lib", lambda m: m.auto_symbolic(lib=["sinus"]), "lib|Did you mean 'sin'?"),
    case("auto restarts", lambda m: m.auto_symbolic(restarts=-1), "restarts must be at least 0"),
    case("auto data", lambda m: m.auto_symbolic(data=(NAN, Y)), "X has nan in row 7"),
    case("auto no data", lambda m: KAN([2, 1]).auto_symbolic(), "fit the network|data=(X, y)"),
    case("formula", lambda m: m.symbolic_formula(), "splines: |auto_symbolic()"),
    case("prune", lambda m: m.prune(-1.0), "node_threshold must be at least 0"),
    case("prune text", lambda m: m.prune(0.1, "a"), "edge_threshold must be a number"),
    case("prune nan", lambda m: m.prune_edges(math.nan), "threshold must be finite"),
    case("prune no data", lambda m: KAN([2, 1]).prune(), "X is needed"),
    case("refine", lambda m: m.refine(0), "grid must be at least 1"),
    case("refine type", lambda m: m.refine("10"), "grid must be a whole number"),
    case("plot threshold", lambda m: m.plot(threshold="a"), "threshold must be a number"),
    case("plot names", lambda m: m.plot(input_names=["a"]), "input_names must have 2"),
    case("plot no data", lambda m: KAN([2, 1]).plot(), "X"),
]


@pytest.mark.parametrize(("act", "words"), EDGES)
def test_edges_functions_and_pruning(fitted: KAN, act: Act, words: str) -> None:
    check(fitted, act, words)


def kan(*args: Any, **options: Any) -> Act:
    return lambda model: KAN(*args, **options)


def layer(*args: Any, **options: Any) -> Act:
    return lambda model: KANLayer(*args, **options)


MAKING = [
    case("width text", kan("251"), "width must be a list"),
    case("width number", kan(5), "width must be a list such as [2, 5, 1]"),
    case("width short", kan([2]), "width must have at least"),
    case("width zero", kan([2, 0, 1]), "width[1] must be at least 1"),
    case("width fraction", kan([2, 2.5, 1]), "width[1] must be a whole number"),
    case("width bool", kan([True, 1]), "width[0] must be a whole number"),
    case("width products", kan([(2, 1), 1]), "width[0]|cannot have products"),
    case("width arity", kan([2, (1, [1]), 1]), "width[1][1][0] must be at least 2"),
    case("width triple", kan([2, (1, 2, 3), 1]), "width[1]|(sums, products)"),
    case("width empty", kan([2, (0, 0), 1]), "width[1] has no nodes"),
    case("grid", kan([2, 1], grid=0), "grid must be at least 1"),
    case("k", kan([2, 1], k=6), "k must be from 1 to 5"),
    case("seed", kan([2, 1], seed=-1), "seed must be"),
    case("seed size", kan([2, 1], seed=2**70), "seed"),
    case("residual", kan([2, 1], residual="selu"), "residual must be one of|Did you mean 'silu'?"),
    case("grid_range", kan([2, 1], grid_range=(1, -1)), "grid_range|low < high"),
    case("grid_range type", kan([2, 1], grid_range=3), "grid_range must be a pair"),
    case("grid_range dict", kan([2, 1], grid_range={"a": 1, "b": 2}), "grid_range must be a pair"),
    case("grid_eps", kan([2, 1], grid_eps=2), "grid_eps must be from 0"),
    case("extrapolation", kan([2, 1], extrapolation="liner"), "extrapolation|'linear'"),
    case("dtype int", kan([2, 1], dtype=torch.int64), "dtype must be a floating"),
    case("dtype text", kan([2, 1], dtype="float32"), "dtype must be"),
    case("device", kan([2, 1], device="gpu"), "device"),
    case("layer sizes", layer(0, 1), "in_features must be at least 1"),
    case("layer range", layer(2, 1, grid_range=(1, -1)), "grid_range|low < high"),
    case("layer eps", layer(2, 1, grid_eps=7), "grid_eps must be from 0"),
    case("layer dtype", layer(2, 1, dtype="float32"), "dtype must be"),
    case("layer array", lambda m: KANLayer(2, 1)(np.zeros((3, 2))), "X must be a tensor"),  # pyright: ignore
    case("layer columns", lambda m: KANLayer(2, 1)(torch.zeros(3, 3)), "X|(3, 3)|2 features"),
    case("layer other dtype", lambda m: KANLayer(2, 1)(X), "X|X.to(torch.float32)"),
    case("layer integers", lambda m: KANLayer(2, 1)(torch.ones(3, 2).long()), "X|floating"),
    case("function name", lambda m: SymbolicFunction("", torch.sin, abs), "name must be"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "words"), MAKING)
def test_networks_and_layers(fitted: KAN, act: Act, words: str) -> None:
    check(fitted, act, words)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (((10 * X).long(), Y), "X held integers"),
        ((X.float(), Y.float()), "X, y held float32"),
        (
            (torch.cat([X[:, :1], torch.ones(60, 1)], dim=1), Y),
            "column 1 is 1 in all rows.*Leave it",
        ),
        ((X[:8], Y[:8]), r"\d+ parameters but the data only 8 numbers.*smaller grid"),
    ],
)
def test_data_that_are_only_doubtful_give_a_warning(data: Any, match: str) -> None:
    model = KAN([2, 1], grid=3, residual=None)
    with pytest.warns(UserWarning, match=match):
        history = model.fit(data, steps=1)
    assert math.isfinite(history.train_loss[-1])


def test_arrays_are_taken_by_fit() -> None:
    models = [KAN([2, 1], grid=3) for _ in range(2)]
    models[0].fit((X.numpy(), Y.numpy()[:, 0]), steps=2)
    models[1].fit((X, Y), steps=2)
    assert torch.equal(models[0](X), models[1](X))
