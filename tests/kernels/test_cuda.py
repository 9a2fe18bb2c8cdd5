"""Triton's programs, on the CPU in its interpreter: they find what the reference finds."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import assert_backends_agree, layer_of, rows_for
from torch.func import vmap

from knotwork.kernels.backends import Selection

pytest.importorskip("triton", reason="Triton is only there for Linux")
cuda = pytest.importorskip("knotwork.kernels.cuda")

each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
each_spacing = pytest.mark.parametrize("adaptive", [False, True], ids=["even", "adaptive"])


@contextmanager
def triton_everywhere():
    """Let Triton have the CPU's tensors too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Selection, "uses_triton", lambda self, x: self.choice != "reference")
        yield


def assert_triton_agrees(layer, x):
    with triton_everywhere():
        assert_backends_agree(layer, x)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(0, 40),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 5),
    grid=st.integers(1, 6),
    k=st.sampled_from([1, 2, 3, 3, 4, 5]),
    residual=st.sampled_from(["silu", "silu", "identity", "tanh", "sin", None]),
    extrapolation=st.sampled_from(["linear", "constant", "continue", "zero"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    absent=st.sampled_from([0.0, 0.3, 1.0]),
    adaptive=st.booleans(),
)
def test_values_and_gradients_are_the_references(
    rows, inputs, outputs, grid, k, residual, extrapolation, dtype, absent, adaptive
):
    layer = layer_of(
        inputs,
        outputs,
        grid,
        k,
        residual=residual,
        extrapolation=extrapolation,
        dtype=dtype,
        absent=absent,
        adaptive=adaptive,
    )
    assert_triton_agrees(layer, rows_for(layer, rows))


def test_tiles_fit_together():
    """More rows than a tile, in one interval too, and more outputs than go together."""
    layer = layer_of(2, 70, 1, absent=0.1)
    assert_triton_agrees(layer, rows_for(layer, 75))


@each_dtype
@each_spacing
def test_grids_may_be_finer_than_the_rows(dtype, adaptive):
    layer = layer_of(1, 2, 21, dtype=dtype, adaptive=adaptive)
    assert_triton_agrees(layer, rows_for(layer, 5))


@each_dtype
@each_spacing
def test_points_on_the_knots_belong_to_one_interval(dtype, adaptive):
    layer = layer_of(2, 3, 7, 1, dtype=dtype, adaptive=adaptive)
    assert_triton_agrees(layer, layer.knots.T.contiguous())


@pytest.mark.parametrize("extrapolation", ["linear", "constant", "continue", "zero"])
@pytest.mark.parametrize("k", [1, 3])
@each_spacing
def test_nan_stays_where_it_is(extrapolation, k, adaptive):
    options = {"extrapolation": extrapolation, "adaptive": adaptive}
    # A residual would make everything nan by itself.
    layer = layer_of(2, 3, 4, k, residual=None, **options)
    x = rows_for(layer, 9)
    x[3, 1] = x[7, 0] = torch.nan
    x.requires_grad_()
    with triton_everywhere():
        y = layer(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y.isnan(), x.isnan().any(dim=1, keepdim=True).expand(9, 3))
    assert torch.equal(slope.isnan(), x.isnan())
    assert_triton_agrees(layer_of(2, 3, 4, k, **options), x)


def test_the_same_rows_give_the_same_bits():
    layer = layer_of(2, 3)
    x = rows_for(layer, 40).requires_grad_()

    def found():
        with triton_everywhere():
            y = layer(x)
            return [y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()][:4])]

    assert all(torch.equal(a, b) for a, b in zip(found(), found(), strict=True))


def test_layers_and_their_gradients_go_through_the_programs(monkeypatch):
    """Lest the other tests compare the reference with itself."""
    layer = layer_of(2, 3)
    x = rows_for(layer, 4).requires_grad_()
    called = []
    for name in ("forward", "backward"):
        original = getattr(cuda, name)
        monkeypatch.setattr(
            cuda,
            name,
            lambda *args, name=name, original=original: called.append(name) or original(*args),
        )
    with triton_everywhere():
        layer(x).sum().backward()
    assert called == ["forward", "backward"]


def test_second_derivatives_and_vmap_work():
    layer = layer_of(2, 2)
    x = rows_for(layer, 6).requires_grad_()
    expected = torch.autograd.functional.hessian(lambda rows: layer(rows).square().sum(), x)
    with triton_everywhere():
        found = torch.autograd.functional.hessian(lambda rows: layer(rows).square().sum(), x)
        mapped = vmap(layer)(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(mapped, layer(x))


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from knotwork.kernels import gpu_programs

OTHERS = {"kind": "*u8", "first_of": "*i32", "order": "*i64", "begins": "*i64"}
SIZES = ("rows", "inputs", "outputs", "intervals", "pieces_size")
NAMES = ("add_splines", "add_input_gradient", "first_bases", "coefficient_gradient")
for name in NAMES:
    program = getattr(gpu_programs, name)
    for real, k, even in (("*fp32", 1, True), ("*fp64", 2, False)):
        constants = dict(K=k, UNIFORM=even, CLAMPS=even, STEPS=3, ROWS=32, OUTPUTS=16)
        constants = {key: constants[key] for key in program.arg_names if key in constants}
        types = dict.fromkeys(program.arg_names, real) | dict.fromkeys(SIZES, "i32")
        types = types | OTHERS | dict.fromkeys(constants, "constexpr")
        types = {key: types[key] for key in program.arg_names}
        source = ASTSource(program, types, constexprs=constants)
        assert compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
        print(name, real)
"""


def test_programs_compile_for_a_gpu(tmp_path):
    """Which needs none; in a process of its own, as the interpreter replaces the compiler."""
    environment = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("\n")) == 9
