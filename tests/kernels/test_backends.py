"""Which backend runs, and that nobody is left on a slow one in silence."""

import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from problems import layer_of, rows_for

from compiled import needs_library
from knotwork import kernels
from knotwork.kernels.backends import Selection, selection
from knotwork.kernels.compiled import load


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    ).stdout


@pytest.fixture
def without_library(tmp_path, monkeypatch):
    bare = Selection([str(tmp_path)], "auto")
    monkeypatch.setattr(kernels, "selection", bare)
    return bare


def test_without_a_library_one_warning_says_so(without_library):
    layer = layer_of(2, 3)
    x = rows_for(layer, 4)
    with pytest.warns(UserWarning, match=r"plain torch.*was not built.*`knotwork info`"):
        y = layer(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(layer(x), y)
    name, why = without_library.explain()
    assert name == "reference (plain torch)"
    assert "not built" in why


def test_a_library_that_cannot_be_loaded_says_why(tmp_path):
    (tmp_path / "libknotwork.so").write_text("not a library")
    library, why = load([str(tmp_path)])
    assert library is None
    assert "cannot be loaded" in why


def test_those_who_choose_the_reference_are_not_warned(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "selection", Selection([str(tmp_path)], "reference"))
    layer = layer_of(2, 3)
    layer(rows_for(layer, 4))


@needs_library
def test_dtypes_without_a_kernel_are_said_once(monkeypatch):
    fresh = Selection(kernels.__path__, "auto")
    monkeypatch.setattr(kernels, "selection", fresh)
    layer = layer_of(2, 3).to(torch.bfloat16)
    x = rows_for(layer, 4)
    with pytest.warns(UserWarning, match=r"no kernel for torch.bfloat16 on cpu"):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    layer(x)


@needs_library
def test_points_outside_are_an_error_where_asked_for():
    layer = layer_of(2, 3, extrapolation="error")
    inside = rows_for(layer, 9).clamp(-1, 1)
    with kernels.use("reference"):
        expected = layer(inside)
    torch.testing.assert_close(layer(inside), expected)
    inside[2, 1] = torch.nan
    assert bool(layer(inside)[2].isnan().all())
    inside[4, 1] = 1.5
    with pytest.raises(ValueError, match=r"outside the knots in column 1"):
        layer(inside)


@needs_library
def test_the_choice_lasts_as_long_as_its_context():
    before = selection.choice
    with kernels.use("plain"):
        assert selection.explain() == ("cpu (plain)", "KNOTWORK_KERNEL=plain")
    assert selection.choice == before
    with pytest.raises(ValueError, match=r"KNOTWORK_KERNEL must be one of auto, reference"):
        selection.choose("fast")


def test_unknown_choices_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"KNOTWORK_KERNEL must be one of .*; got 'fastest'"):
        Selection([str(tmp_path)], "fastest")


def test_an_instruction_set_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"KNOTWORK_KERNEL=avx2 cannot be had: .*not built"):
        Selection([str(tmp_path)], "avx2")


def test_the_environment_chooses():
    """In a process of its own, as the variable is read on import."""
    code = "from knotwork.kernels import selection; print(*selection.explain(), sep=', ')"
    assert python(code, KNOTWORK_KERNEL="reference").startswith("reference (plain torch)")


def tensor_on(device, dtype=torch.float32):
    """What a choice looks at of a tensor."""
    return SimpleNamespace(
        device=torch.device(device), is_cpu=device == "cpu", is_cuda=device == "cuda", dtype=dtype
    )


def test_a_gpu_has_triton_or_one_warning(tmp_path):
    bare = Selection([str(tmp_path)], "auto")
    x = tensor_on("cuda")
    bare.has_triton = True
    assert bare.applies(x, x)
    assert bare.explain_gpu() == (
        "cuda (Triton)",
        "correctness checked in Triton's interpreter; not timed on a GPU",
    )
    bare.has_triton = False
    with pytest.warns(UserWarning, match=r"plain torch.*need Triton, which is not installed"):
        assert not bare.applies(x, x)
    assert not bare.applies(x, x)
    assert bare.explain_gpu()[0] == "reference (plain torch)"


@needs_library
def test_no_backend_gets_tensors_of_another_device():
    fresh = Selection(kernels.__path__, "auto")
    fresh.has_triton = True
    assert fresh.compiled(tensor_on("cpu")) is not None
    assert not fresh.uses_triton(tensor_on("cpu"))
    assert fresh.compiled(tensor_on("cuda")) is None
    assert fresh.uses_triton(tensor_on("cuda"))
    x = tensor_on("mps")
    with pytest.warns(UserWarning, match=r"no kernel for torch.float32 on mps"):
        assert not fresh.applies(x, x)
    fresh.choose("reference")
    assert not fresh.uses_triton(tensor_on("cuda"))
