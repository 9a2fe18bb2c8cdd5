"""Checkpoints: a network in one safetensors file, exact to the bit.

The tensors are the network's ``state_dict``.  The JSON header holds everything else: the class,
the settings, and the names of inputs, outputs and symbolic functions.  Nothing in a file is ever
executed, and nothing is built before its size is known to be that of the tensors in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from . import _checkpoint_file
from ._checkpoint_file import TRAINING
from ._checkpoint_file import CheckpointError as CheckpointError
from ._checks import check_integer
from .data.matrices import shorten
from .functions import LIBRARY, SymbolicFunction
from .layers import ABSENT, MAX_ORDER, SPLINE, SYMBOLIC, KANLayer
from .mlp import MLP
from .network import KAN
from .nodes import Nodes
from .trainable import Trainable

_DTYPES: Mapping[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}
Model = TypeVar("Model", bound=Trainable)
# A pair (sums, number of products) in a width is one number for any number of nodes; no network
# that was saved has more than this.
_MOST_PRODUCTS = 2**20
# Characters of a reason, which can quote the file.
_LONGEST_REASON = 300


def save(model: Trainable, path: str | PathLike[str]) -> None:
    """Write a network to a file, atomically: what was there before stays until all is written.

    The data of the last fit isn't saved.

    Parameters
    ----------
    model : KAN or MLP
    path : str or path
        The file's folder must exist.

    Raises
    ------
    TypeError
        If `model` is something else.
    ValueError
        If two different functions on its edges have the same name, which is all that a file
        knows them by.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from knotwork import KAN
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(KAN([2, 5, 1]), f"{folder}/model.safetensors")
    ...     load(f"{folder}/model.safetensors").width
    [2, 5, 1]
    """
    if isinstance(model, KAN):
        header = _describe_kan(model)
    elif isinstance(model, MLP):
        header = _describe_mlp(model)
    else:
        raise TypeError(f"model must be a KAN or an MLP; got {type(model).__name__}.")
    header["input_names"], header["output_names"] = model.input_names, model.output_names
    state = model.state_dict().items()
    tensors = {name: value for name, value in state if isinstance(value, Tensor)}
    _checkpoint_file.write(Path(path), header, tensors)


def load(
    path: str | PathLike[str],
    *,
    functions: Sequence[SymbolicFunction] = (),
    device: torch.device | str | None = None,
) -> KAN | MLP:
    """Read a network that `save` wrote.

    Parameters
    ----------
    path : str or path
    functions : sequence of SymbolicFunction
        Your own functions on the network's edges, which are saved by name only.
    device : torch.device or str, optional
        Where to put the network; the CPU by default.

    Returns
    -------
    KAN or MLP
        With the parameters, knots and edges it was saved with; its outputs are the same bits.

    Raises
    ------
    CheckpointError
        If the file is damaged, was altered, is not a checkpoint, or was written by a newer
        version, or if one of your functions is missing; a kind of ValueError.
    OSError
        If the file cannot be read.
    """
    own = _by_name(functions)
    path = Path(path)
    header, tensors = _checkpoint_file.read(path)
    if header.get("class") == TRAINING:
        raise CheckpointError(
            f"{path} holds a fit under way, not a network: go on with it by "
            "fit(..., checkpoint=path, resume=True), and save the network that comes of it."
        )
    try:
        kind = str(header["class"])
        if kind not in _BUILDERS:
            raise CheckpointError(
                f"the file holds a model of class {shorten(kind)}, which this knotwork does not "
                f"know: load reads {' and '.join(_BUILDERS)}."
            )
        model = _BUILDERS[kind](header, tensors, own)
        model.input_names = _names(header["input_names"], "input_names", model.input_count)
        model.output_names = _names(header["output_names"], "output_names", model.output_count)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # Whoever wrote such a header, it was not `save`.
        reason = str(error)[:_LONGEST_REASON]
        raise CheckpointError(f"{path} is not a checkpoint that can be right: {reason}") from error
    return model if device is None else model.to(device)


def load_as(kind: type[Model], path: str | PathLike[str], **options: Any) -> Model:
    """Read a network that must be of one class; otherwise as `load`.

    Raises
    ------
    CheckpointError
        Also if the file holds a network of another class.
    """
    model = load(path, **options)
    if not isinstance(model, kind):
        found = type(model).__name__
        raise CheckpointError(
            f"{path} holds a network of class {found}, not {kind.__name__}: use {found}.load, or "
            "knotwork.load, which reads both."
        )
    return model


def _names(names: Any, argument: str, count: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument} must be a list of strings.")
    if len(names) != count:
        raise ValueError(f"{argument} has {len(names)} entries, but there are {count} of them.")
    return tuple(names)


def _dtype_name(dtype: torch.dtype) -> str:
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise ValueError(f"a network in {dtype} cannot be saved: use {', '.join(_DTYPES)}.")
    return name


def _check_tensors(
    expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], tensors: Mapping[str, Tensor]
) -> None:
    """Refuse tensors that are not what the settings say, before anything of that size is made."""
    if expected.keys() != tensors.keys():
        wrong = sorted(expected.keys() ^ tensors.keys())
        raise ValueError(f"the tensors do not fit the settings: {', '.join(wrong[:3])}.")
    for name, (dtype, shape) in expected.items():
        tensor = tensors[name]
        if tensor.dtype != dtype or tensor.shape != shape:
            raise ValueError(
                f"{name} is {tensor.dtype} of shape {tuple(tensor.shape)}, but the settings say "
                f"{dtype} of shape {shape}."
            )


# -- multilayer perceptrons ----------------------------------------------------------------------


def _describe_mlp(model: MLP) -> dict[str, Any]:
    return {
        "class": "MLP",
        "width": model.width,
        "activation": model.activation,
        "seed": model.seed,
        "dtype": _dtype_name(model.dtype),
    }


def _build_mlp(header: Mapping[str, Any], tensors: dict[str, Tensor], _own: Any) -> MLP:
    width, dtype = header["width"], _DTYPES[header["dtype"]]
    expected: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
    for index, (inputs, outputs) in enumerate(pairwise(width)):
        expected[f"layers.{index}.weight"] = (dtype, (outputs, inputs))
        expected[f"layers.{index}.bias"] = (dtype, (outputs,))
    _check_tensors(expected, tensors)
    model = MLP(width, activation=header["activation"], seed=header["seed"], dtype=dtype)
    model.load_state_dict(tensors)
    return model


# -- Kolmogorov-Arnold networks ------------------------------------------------------------------


def _describe_kan(model: KAN) -> dict[str, Any]:
    layers = [model.layer(index) for index in range(model.depth)]
    used = _by_name([function for layer in layers for function in layer.functions])
    return {
        "class": "KAN",
        "width": model.width,
        "seed": model.seed,
        "fresh": model.fresh,
        "dtype": _dtype_name(model.dtype),
        "layers": [
            {
                "grid": layer.grid,
                "k": layer.k,
                "residual": layer.residual,
                "grid_eps": layer.grid_eps,
                "extrapolation": layer.extrapolation,
                "functions": [function.name for function in layer.functions],
            }
            for layer in layers
        ],
        "own_functions": [name for name, f in used.items() if LIBRARY.get(name) != f],
    }


def _by_name(functions: Sequence[SymbolicFunction]) -> dict[str, SymbolicFunction]:
    by_name: dict[str, SymbolicFunction] = {}
    for function in functions:
        if not isinstance(function, SymbolicFunction):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"functions must hold SymbolicFunction objects; got {function!r}.")
        if by_name.setdefault(function.name, function) != function:
            raise ValueError(
                f"two different functions are called {function.name!r}, and files know functions "
                "by name: rename one of them."
            )
    return by_name


@dataclass(frozen=True)
class _LayerPlan:
    """What a layer of a file must be, before anything of its size is made."""

    inputs: int
    sums: int
    grid: int
    k: int
    residual: str | None
    grid_eps: float
    extrapolation: Any
    functions: list[SymbolicFunction]

    def tensors(self, dtype: torch.dtype) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Return the dtypes and shapes of the layer's tensors."""
        edges, symbols = (self.inputs, self.sums), len(self.functions)
        tensors: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
            "knots": (dtype, (self.inputs, self.grid + 2 * self.k + 1)),
            "kind": (torch.uint8, edges),
            "symbolic_edges": (torch.int64, (symbols, 2)),
            "offsets": (dtype, (symbols,)),
            "replaced": (torch.uint8, (symbols,)),
            "coefficients": (dtype, (self.inputs, self.grid + self.k, self.sums)),
            "bias": (dtype, (self.sums,)),
            "affine": (dtype, (symbols, 3)),
        }
        if self.residual is not None:
            tensors["residual_weight"] = (dtype, edges)
        return tensors

    def build(self, dtype: torch.dtype) -> KANLayer:
        """Make the layer, its numbers not yet those of the file."""
        layer = KANLayer(
            self.inputs,
            self.sums,
            self.grid,
            self.k,
            residual=self.residual,
            grid_eps=self.grid_eps,
            extrapolation=self.extrapolation,
            dtype=dtype,
            generator=torch.Generator(),
        )
        layer.functions = list(self.functions)
        return layer


def _build_kan(
    header: Mapping[str, Any], tensors: dict[str, Tensor], own: Mapping[str, SymbolicFunction]
) -> KAN:
    dtype = _DTYPES[header["dtype"]]
    plans = _plan_layers(header, own)
    _check_tensors(
        {
            f"layers.{index}.{name}": expected
            for index, plan in enumerate(plans)
            for name, expected in plan.tensors(dtype).items()
        },
        tensors,
    )
    model = KAN(header["width"], 1, 1, seed=header["seed"], dtype=dtype)
    state: dict[str, Any] = dict(tensors)
    for index, plan in enumerate(plans):
        _check_edges(tensors, f"layers.{index}.")
        model.layers[index] = plan.build(dtype)
        names = [function.name for function in plan.functions]
        state[f"layers.{index}._extra_state"] = {"functions": names}
    model.load_state_dict(state)
    model.fresh = header["fresh"] is True
    return model


def _plan_layers(
    header: Mapping[str, Any], own: Mapping[str, SymbolicFunction]
) -> list[_LayerPlan]:
    records = header["layers"]
    library = _library(header, own)
    nodes = _parse_width(header["width"])
    if len(nodes) != len(records) + 1:
        raise ValueError(f"width has {len(nodes)} entries for {len(records)} layers.")
    return [
        _LayerPlan(
            before.count,
            after.subnodes,
            check_integer(record["grid"], "grid", low=1),
            check_integer(record["k"], "k", low=1, high=MAX_ORDER),
            record["residual"],
            float(record["grid_eps"]),
            record["extrapolation"],
            [library[name] for name in record["functions"]],
        )
        for (before, after), record in zip(pairwise(nodes), records, strict=True)
    ]


def _library(
    header: Mapping[str, Any], own: Mapping[str, SymbolicFunction]
) -> dict[str, SymbolicFunction]:
    """Return every function that the file may name."""
    used = [name for record in header["layers"] for name in record["functions"]]
    needed = {*header["own_functions"], *(name for name in used if name not in LIBRARY)}
    missing = sorted(needed - own.keys())
    if missing:
        raise CheckpointError(
            "the network has functions that are not in the library, "
            f"{', '.join(map(shorten, missing[:10]))}, and files hold functions by name only: pass "
            "them, as load(path, functions=[...])."
        )
    return {**LIBRARY, **{name: own[name] for name in needed}}


def _parse_width(width: Any) -> list[Nodes]:
    for position, entry in enumerate(width):
        if isinstance(entry, list) and isinstance(entry[1], int):
            check_integer(entry[1], f"width[{position}][1]", low=0, high=_MOST_PRODUCTS)
    return [Nodes.parse(entry, position) for position, entry in enumerate(width)]


def _check_edges(tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Refuse kinds that do not exist and symbolic edges that are not where the kinds say."""
    kind, edges = tensors[prefix + "kind"], tensors[prefix + "symbolic_edges"]
    known = torch.isin(kind, torch.tensor([ABSENT, SPLINE, SYMBOLIC], dtype=kind.dtype))
    marked = (kind == SYMBOLIC).nonzero().tolist()
    if not bool(known.all()) or sorted(edges.tolist()) != marked:
        raise ValueError(f"{prefix}kind and {prefix}symbolic_edges do not fit each other.")


_BUILDERS: Mapping[str, Callable[..., KAN | MLP]] = {"KAN": _build_kan, "MLP": _build_mlp}
