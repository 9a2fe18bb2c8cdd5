"""The door to ONNX: check that everything has a form, build the graph, write the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from .._atomic_write import write_atomically
from ..layers import KANLayer
from ..network import KAN
from ..nodes import Nodes
from .functions import lack
from .graph import Graph
from .layers import add_layer, add_nodes

OPSET = 18
"""Version of ONNX's operations that files use."""

# The version of the file format that came with the opset, so that runtimes as old as it read it.
_IR_VERSION = 8
_DTYPES: Mapping[torch.dtype, np.dtype[Any]] = MappingProxyType(
    {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
)


def export_onnx(
    model: KAN | KANLayer, path: str | PathLike[str], *, dtype: torch.dtype | None = None
) -> None:
    """Write a network to an ONNX file of opset 18, atomically.

    The file takes ``X`` of shape (rows, inputs), with any number of rows, and gives ``y`` of shape
    (rows, outputs).  Its metadata has ``knotwork_version`` and, where the network knows them,
    ``input_names`` and ``output_names`` as JSON.  Splines are computed densely, at a cost that
    grows with the grid; edges that are absent or symbolic cost no spline.

    Parameters
    ----------
    model : KAN or KANLayer
        Splines, symbolic edges and product nodes alike.  It is left as it is.
    path : str or path
        The file's folder must exist.
    dtype : torch.float32 or torch.float64, optional
        What the file takes, computes in and gives; the network's own by default.  Several
        functions (arcsin, arccos, arctan, sinh, cosh, arcsinh, arccosh, arctanh and erf) are
        computed in float32 only by onnxruntime, so their export in float64 is refused.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    TypeError
        If `model` is something else.
    ValueError
        If an edge carries a function without an ONNX form (J0, or one of your own), a layer's
        extrapolation is "error", which ONNX cannot raise, or `dtype` is another one; before
        anything is written.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from knotwork import KAN
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_onnx(KAN([2, 5, 1]), f"{folder}/model.onnx", dtype=torch.float32)
    """
    if find_spec("onnx") is None:
        raise ImportError(
            'export_onnx needs the package onnx: install it with pip install "knotwork[onnx]".'
        )
    layers, nodes = _parts(model)
    number = _check_dtype(layers[0].knots.dtype, dtype)
    _check_forms(layers, number)
    graph = Graph(number)
    value = "X"
    for layer, behind in zip(layers, nodes, strict=True):
        value = add_nodes(graph, add_layer(graph, value, layer), behind)
    graph.apply("Identity", value)
    content = _file(graph, layers[0].in_features, nodes[-1].count, _metadata(model))
    write_atomically(Path(path), content)


def _parts(model: KAN | KANLayer) -> tuple[list[KANLayer], list[Nodes]]:
    if isinstance(model, KAN):
        return [model.layer(index) for index in range(model.depth)], list(model.nodes)
    if isinstance(model, KANLayer):  # pyright: ignore[reportUnnecessaryIsInstance]
        return [model], [Nodes(model.out_features)]
    raise TypeError(f"model must be a KAN or a KANLayer; got {type(model).__name__}.")


def _check_dtype(own: torch.dtype, dtype: torch.dtype | None) -> np.dtype[Any]:
    chosen = own if dtype is None else dtype
    if chosen not in _DTYPES:
        raise ValueError(
            f"dtype must be torch.float32 or torch.float64; got {chosen}"
            f"{', the network' if dtype is None else ''}."
        )
    return _DTYPES[chosen]


def _check_forms(layers: list[KANLayer], dtype: np.dtype[Any]) -> None:
    for l, layer in enumerate(layers):
        if layer.extrapolation == "error":
            raise ValueError(
                f"layer {l} has extrapolation='error', which an ONNX file cannot raise: set "
                "its attribute extrapolation to 'linear', 'constant', 'continue' or 'zero'."
            )
        for (i, j), function in zip(layer.symbolic_edges.tolist(), layer.functions, strict=True):
            reason = lack(function, dtype)
            if reason:
                raise ValueError(f"edge ({l}, {i}, {j}) carries {function.name!r}, {reason}.")


def _metadata(model: KAN | KANLayer) -> dict[str, str]:
    entries = {"knotwork_version": version("knotwork")}
    if isinstance(model, KAN):
        named = {"input_names": model.input_names, "output_names": model.output_names}
        entries |= {key: json.dumps(names) for key, names in named.items() if names is not None}
    return entries


def _file(graph: Graph, inputs: int, outputs: int, metadata: dict[str, str]) -> bytes:
    """Return the content of the file."""
    from onnx import helper

    graph.nodes[-1].output[0] = "y"
    element = helper.np_dtype_to_tensor_dtype(graph.dtype)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "knotwork",
            [helper.make_tensor_value_info("X", element, ["rows", inputs])],
            [helper.make_tensor_value_info("y", element, ["rows", outputs])],
            initializer=graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="knotwork",
        producer_version=metadata["knotwork_version"],
    )
    helper.set_model_props(model, metadata)
    return model.SerializeToString()
