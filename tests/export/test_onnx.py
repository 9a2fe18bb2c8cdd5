"""ONNX files give in onnxruntime what the network gives."""

import copy
import json
from importlib.metadata import version

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import knotwork.export.network
from knotwork import KAN, LIBRARY, KANLayer, SymbolicFunction
from knotwork.export import OPSET, export_onnx
from knotwork.export.functions import FLOAT32_ONLY
from knotwork.export.functions import RESIDUALS as RESIDUAL_FORMS
from knotwork.residuals import RESIDUALS
from knotwork.splines import EXTRAPOLATIONS
from networks import SOFTSIGN, mixed_network, normal

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

F32, F64 = torch.float32, torch.float64
BESSEL = LIBRARY["J0"]


def runtime(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def outputs(model, x, folder, dtype=None):
    """Return what the network gives, and what its file gives."""
    path = folder / "model.onnx"
    export_onnx(model, path, dtype=dtype)
    (found,) = runtime(path).run(["y"], {"X": x.to(dtype or x.dtype).numpy()})
    return model(x).detach().numpy(), found


def check(model, x, folder, dtype=None):
    """Compare on the scale of the outputs."""
    expected, found = outputs(model, x, folder, dtype)
    assert found.shape == expected.shape
    assert found.dtype == (np.float64 if (dtype or x.dtype) == F64 else np.float32)
    assert np.isfinite(expected).all()
    tolerance = 1e-5 if found.dtype == np.float32 else 1e-12
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def adapted(model):
    """Return the network on knots that follow unevenly spread data."""
    model.update_grid((normal(200, model.input_count).tanh() ** 3).to(model.dtype))
    return model


# -- agreement -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("extrapolation", sorted(set(EXTRAPOLATIONS) - {"error"}))
def test_splines_agree_inside_and_outside_the_knots(extrapolation, k, dtype, tmp_path):
    for grid_eps in (1.0, 0.1):
        options = {"grid_eps": grid_eps, "extrapolation": extrapolation, "dtype": dtype}
        model = adapted(KAN([2, 3, 2], 4, k, **options))
        assert model.layer(0).uniform == (grid_eps == 1.0)
        low, high = model.layer(0).knots[:, k], model.layer(0).knots[:, -k - 1]
        # Somewhat beyond the ends, where the end polynomials do not explode yet; and knots.
        inside = low + (high - low) * (normal(40, 2).to(dtype).sigmoid() * 1.2 - 0.1)
        check(model, torch.cat([inside, model.layer(0).knots[:, k:-k].T]), tmp_path)


@pytest.mark.parametrize("residual", [*RESIDUALS, None])
def test_residuals_agree(residual, tmp_path):
    check(KAN([3, 2], residual=residual, dtype=F32), 2 * normal(30, 3).float(), tmp_path)


def test_every_residual_has_a_form():
    assert RESIDUAL_FORMS.keys() == RESIDUALS.keys()


@pytest.mark.parametrize("name", [name for name in LIBRARY if name != "J0"])
def test_every_function_of_the_library_agrees(name, tmp_path):
    function = LIBRARY[name]
    low, high = next((max(low, -4.0), min(high, 4.0)) for low, high in function.domain[-1:])
    margin = 0.05 * (high - low)
    layer = KANLayer(1, 1, dtype=F32)
    layer.set_symbolic(0, 0, function, 0.5, 0.25, -1.5, 0.75)
    arguments = torch.linspace(low + margin, high - margin, 101, dtype=F64)
    x = ((arguments - 0.25) / 0.5).float()[:, None]
    check(layer, x, tmp_path)
    if name in FLOAT32_ONLY:
        with pytest.raises(ValueError, match=rf"edge \(0, 0, 0\) carries '{name}'.*float32 only"):
            layer.double().export_onnx(tmp_path / "model.onnx")
    else:
        check(layer.double(), x.double(), tmp_path)


def test_the_list_of_functions_without_float64_is_no_longer_than_it_must_be():
    element = onnx.TensorProto.DOUBLE
    for operation in ("Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Erf"):
        node = onnx.helper.make_node(operation, ["X"], ["y"])
        ends = [onnx.helper.make_tensor_value_info(name, element, [1]) for name in "Xy"]
        model = onnx.helper.make_model(
            onnx.helper.make_graph([node], "one", ends[:1], ends[1:]),
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=8,
        )
        with pytest.raises(Exception, match="NOT_IMPLEMENTED"):
            onnxruntime.InferenceSession(
                model.SerializeToString(), providers=["CPUExecutionProvider"]
            )


def mixed(**options):
    """Return a network of every kind of edge and node, but without functions of one's own."""
    model = mixed_network(**options)
    model.layer(0).set_symbolic(1, 0, LIBRARY["arctan"], 0.8, -0.2, 1.3, 0.1)
    return model


def test_mixed_networks_agree_in_float32(tmp_path):
    check(mixed(dtype=F32), normal(50, 3).float(), tmp_path)


def test_networks_in_float64_can_be_exported_in_float32(tmp_path):
    x = normal(50, 3).float().double()
    model = mixed()
    before = {name: value.clone() for name, value in model.named_parameters()}
    expected, found = outputs(model, x, tmp_path, F32)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert model.dtype == F64
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())


def test_a_trained_network_and_its_formula_agree(tmp_path):
    X = normal(200, 2).tanh()
    model = KAN([2, 2, 1], grid=3)
    model.fit((X, torch.exp(torch.sin(3 * X[:, 0]) + X[:, 1] ** 2)), steps=15)
    check(model, X.float().double(), tmp_path, F32)
    model.fix_symbolic(0, 0, 0, "sin")
    model.fix_symbolic(0, 1, 0, "x^2")
    check(model, X.float().double(), tmp_path, F32)


@pytest.mark.parametrize("rows", [0, 1, 2, 1000])
def test_any_number_of_rows(rows, tmp_path):
    expected, found = outputs(mixed(dtype=F32), normal(rows, 3).float(), tmp_path)
    assert found.shape == expected.shape == (rows, 2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * 50)


def test_layers_without_splines_and_without_anything(tmp_path):
    layer = KANLayer(2, 3, dtype=F32)
    for i in range(2):
        for j in range(3):
            layer.remove_edge(i, j, 0.5 * i + j)
    check(layer, normal(4, 2).float(), tmp_path)
    layer.set_symbolic(1, 2, LIBRARY["exp"], 1.0, 0.0, 2.0, 0.0)
    check(layer, normal(4, 2).float(), tmp_path)
    operations = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert not operations & {"MatMul", "GreaterOrEqual"}


def test_what_is_undefined_stays_at_its_own_output(tmp_path):
    layer = KANLayer(1, 3, dtype=F32)
    layer.set_symbolic(0, 1, LIBRARY["log"], 1.0, 0.0, 1.0, 0.0)
    expected, found = outputs(layer, torch.tensor([[-1.0], [2.0]]), tmp_path)
    assert np.isnan(expected).tolist() == [[False, True, False], [False] * 3]
    assert np.isnan(found).tolist() == np.isnan(expected).tolist()


def test_nan_comes_out_as_nan(tmp_path):
    x = normal(3, 2).float()
    x[1, 0] = torch.nan
    expected, found = outputs(KAN([2, 3, 1], dtype=F32), x, tmp_path)
    assert np.isnan(found).tolist() == np.isnan(expected).tolist() == [[False], [True], [False]]


products = st.tuples(st.integers(0, 2), st.lists(st.integers(2, 3), max_size=2)).filter(
    lambda entry: entry[0] + len(entry[1]) > 0
)


@settings(max_examples=15, deadline=None)
@given(
    inputs=st.integers(1, 3),
    hidden=st.lists(products, max_size=2),
    last=products,
    grid=st.integers(1, 6),
    k=st.integers(1, 5),
    grid_eps=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_any_structure_agrees(tmp_path_factory, inputs, hidden, last, grid, k, grid_eps, seed):
    model = KAN([inputs, *hidden, last], grid, k, grid_eps=grid_eps, seed=seed, dtype=F32)
    adapted(model)
    x = normal(20, inputs, seed=seed).float()
    expected, found = outputs(model, x, tmp_path_factory.mktemp("onnx"))
    # Powers of products amplify rounding: then the network's own measures what can be asked for.
    exact = copy.deepcopy(model).double()(x.double()).detach().numpy()
    own = np.abs(expected - exact).max()
    assert np.abs(found - exact).max() <= max(1e-5 * np.abs(exact).max(), 10 * own)


# -- the file ------------------------------------------------------------------------------------


def test_the_file_says_what_it_is(tmp_path):
    model = KAN([2, 1])
    model.input_names, model.output_names = ("mass", "radius °"), ("force",)
    model.export_onnx(tmp_path / "model.onnx")
    session = runtime(tmp_path / "model.onnx")
    (given,), (gives,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("X", ["rows", 2], "tensor(double)")
    assert (gives.name, gives.shape, gives.type) == ("y", ["rows", 1], "tensor(double)")
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["knotwork_version"] == version("knotwork")
    assert json.loads(metadata["input_names"]) == ["mass", "radius °"]
    assert json.loads(metadata["output_names"]) == ["force"]


def test_layers_have_the_door_too(tmp_path):
    layer = KANLayer(3, 2, dtype=F64)
    layer.export_onnx(tmp_path / "layer.onnx", dtype=F32)
    (found,) = runtime(tmp_path / "layer.onnx").run(None, {"X": np.zeros((4, 3), np.float32)})
    np.testing.assert_allclose(
        found, layer(torch.zeros(4, 3, dtype=F64)).detach(), rtol=0, atol=1e-5
    )


def test_the_same_network_gives_the_same_file(tmp_path):
    for name in ("one", "two"):
        mixed(dtype=F32).export_onnx(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# -- what cannot be exported ---------------------------------------------------------------------

FAKE_SINE = SymbolicFunction("sin", torch.cos, lambda x: x)


@pytest.mark.parametrize("function", [BESSEL, SOFTSIGN, FAKE_SINE], ids=["J0", "own", "namesake"])
def test_functions_without_a_form_are_named_with_their_edge(function, tmp_path):
    model = KAN([2, 3, 1])
    model.layer(1).set_symbolic(2, 0, function, 1.0, 0.0, 1.0, 0.0)
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with pytest.raises(ValueError, match=rf"edge \(1, 2, 0\) carries '{function.name}', which has"):
        model.export_onnx(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


def test_float64_that_no_runtime_computes_is_refused(tmp_path):
    model = KAN([1, 1])
    model.layer(0).set_symbolic(0, 0, LIBRARY["arcsin"], 1.0, 0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"edge \(0, 0, 0\) carries 'arcsin'.*dtype=torch.float32"):
        model.export_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    model.export_onnx(tmp_path / "model.onnx", dtype=F32)


def test_extrapolation_that_raises_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"layer 0 has extrapolation='error'.*to 'linear'"):
        KAN([1, 1], extrapolation="error").export_onnx(tmp_path / "model.onnx")


def test_other_dtypes_are_refused(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match=r"float32 or torch.float64; got torch.bfloat16, the netw"):
        KAN([1, 1], dtype=torch.bfloat16).export_onnx(path)
    with pytest.raises(ValueError, match=r"float32 or torch.float64; got torch.float16\."):
        KAN([1, 1]).export_onnx(path, dtype=torch.float16)
    KAN([1, 1], dtype=torch.bfloat16).export_onnx(path, dtype=F32)


def test_numbers_too_large_for_float32_are_refused(tmp_path):
    model = KAN([1, 1])
    with torch.no_grad():
        model.layer(0).bias.fill_(1e39)
    with pytest.raises(ValueError, match=r"beyond 3.4e.38, the largest of float32.*float64"):
        model.export_onnx(tmp_path / "model.onnx", dtype=F32)
    assert not list(tmp_path.iterdir())


def test_other_models_and_other_places_are_refused(tmp_path):
    with pytest.raises(TypeError, match="model must be a KAN or a KANLayer; got Linear"):
        export_onnx(torch.nn.Linear(1, 1), tmp_path / "model.onnx")
    with pytest.raises(FileNotFoundError, match="does not exist: create it first"):
        KAN([1, 1]).export_onnx(tmp_path / "nowhere" / "model.onnx")


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(knotwork.export.network, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "knotwork\[onnx\]"'):
        KAN([1, 1]).export_onnx(tmp_path / "model.onnx")
