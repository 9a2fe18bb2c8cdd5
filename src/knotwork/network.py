"""The network: layers of one-dimensional functions with sum and multiplication nodes between them.

`KAN` holds the structure and evaluates it; everything else a network can do is a one-line door
into the module that does it (`training`, `sparsity`, `symbolic`, `plotting`, `io`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from . import kernels
from ._checks import MOST_SEED, check_index, check_input, check_integer
from ._spline_chain import chain_of_splines
from .layers import ABSENT, KANLayer
from .nodes import WidthEntry, parse_width
from .splines import Extrapolation
from .trainable import Trainable

if TYPE_CHECKING:
    from os import PathLike

    import sympy
    from matplotlib.figure import Figure

    from .edges import Edge
    from .explanation import Explanation
    from .functions import SymbolicFunction
    from .sparsity import Attribution, PruneReport
    from .symbolic import SnapReport, Suggestions


@dataclass(frozen=True)
class LayerTrace:
    """What went through one layer: its `inputs` (rows, inputs) and `subnodes` (rows, sums)."""

    inputs: Tensor
    subnodes: Tensor


class KAN(Trainable):
    """A Kolmogorov-Arnold network.

    Parameters
    ----------
    width : list
        Nodes per layer, inputs first.  An entry is the number of sum nodes or a pair
        ``(sums, products)``, where `products` is the number of multiplication nodes of two
        factors or a list of their arities: ``[2, 5, 1]``, ``[2, (3, 1), 1]``,
        ``[3, (0, [3]), 1]``.
    grid : int
        Intervals between the ends of each input's knots.
    k : int
        Order of the splines, 1 to 5; 3 is cubic.
    seed : int
        Seed of the random start.
    residual : str or None
        Function added to every spline: "silu", "identity", "tanh", "sin", or None.
    grid_range : pair of float
        Ends of the first knots.  `fit` moves them to the data.
    grid_eps : float, 0 to 1
        Blend of evenly spaced (1) and quantile (0) knots wherever the grid is updated.
    extrapolation : str
        What a spline does outside its knots: "linear" (value and slope continue), "constant",
        "continue" (the end polynomials), "zero" or "error".
    dtype, device
        Of the parameters.

    Attributes
    ----------
    layers : ModuleList of KANLayer
    nodes : tuple of Nodes
        The nodes behind each layer.
    input_names, output_names : tuple of str or None
        Taken from the data where it has names.

    Examples
    --------
    >>> from knotwork import KAN, create_dataset
    >>> data = create_dataset(lambda x: x[:, 0] * x[:, 1], n_var=2, train_num=200)
    >>> model = KAN([2, (0, 1), 1])
    >>> history = model.fit(data, steps=20)
    >>> bool(history.test_loss[-1] < 1e-3)
    True
    """

    layers: nn.ModuleList

    def __init__(
        self,
        width: Sequence[WidthEntry],
        grid: int = 5,
        k: int = 3,
        *,
        seed: int = 0,
        residual: str | None = "silu",
        grid_range: tuple[float, float] = (-1.0, 1.0),
        grid_eps: float = 1.0,
        extrapolation: Extrapolation = "linear",
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        entries = parse_width(width)
        self.seed = check_integer(seed, "seed", low=0, high=MOST_SEED)
        self.input_count = entries[0].sums
        self.nodes = tuple(entries[1:])
        generator = self._generator()
        sizes = [self.input_count] + [nodes.count for nodes in self.nodes]
        self.layers = nn.ModuleList(
            KANLayer(
                size,
                nodes.subnodes,
                grid,
                k,
                residual=residual,
                grid_range=grid_range,
                grid_eps=grid_eps,
                extrapolation=extrapolation,
                dtype=dtype,
                device=device,
                generator=generator,
            )
            for size, nodes in zip(sizes, self.nodes, strict=False)
        )
        self.prune_report: PruneReport | None = None
        self.snap_report: SnapReport | None = None
        # Untrained networks may still be restarted on the data's own scale.
        self.fresh = True

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    # -- what the network is -----------------------------------------------------------------

    @property
    def width(self) -> list[Any]:
        """Nodes per layer as the constructor takes them, inputs first."""
        return [self.input_count, *(nodes.as_entry() for nodes in self.nodes)]

    @property
    def output_count(self) -> int:
        """Number of outputs."""
        return self.nodes[-1].count

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def grid(self) -> int:
        """Intervals of the first layer's grid."""
        return self.layer(0).grid

    @property
    def k(self) -> int:
        """Order of the splines."""
        return self.layer(0).k

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the parameters."""
        return self.layer(0).knots.dtype

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.layer(0).knots.device

    def layer(self, index: int) -> KANLayer:
        """Return layer number `index`, typed."""
        layer = self.layers[index]
        assert isinstance(layer, KANLayer)
        return layer

    def parameter_count(self) -> int:
        """Count the parameters of edges that are there, and the biases."""
        total = 0
        for index in range(self.depth):
            layer = self.layer(index)
            per_spline = layer.coefficients.shape[1] + (layer.residual_weight is not None)
            total += int(layer.spline_mask.sum()) * per_spline
            total += sum(1 + f.free_a + f.free_b for f in layer.functions) + layer.out_features
        return total

    def edge_count(self) -> int:
        """Count the edges that are not absent."""
        return sum(int((self.layer(index).kind != ABSENT).sum()) for index in range(self.depth))

    def extra_repr(self) -> str:
        """Return what ``print`` shows of the network beside its layers."""
        return f"width={self.width}, grid={self.grid}, k={self.k}"

    def _repr_html_(self) -> str | None:
        from .notebook import network_html

        return network_html(self)

    # -- evaluation --------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the network.

        Parameters
        ----------
        x : Tensor of shape (..., inputs)

        Returns
        -------
        Tensor of shape (..., outputs)
        """
        self._check_input(x)
        if chain := chain_of_splines(self.layers, self.nodes, x):
            return kernels.spline_layers(x, chain)
        for layer, nodes in zip(self.layers, self.nodes, strict=True):
            x = nodes.combine(layer(x))
        return x

    def _check_input(self, x: Tensor) -> None:
        check_input(
            x,
            inputs=self.input_count,
            like=self.layer(0).knots,
            network=type(self).__name__,
        )

    def check_rows(self, X: Tensor) -> None:
        """Raise unless X is of shape (rows, inputs), finite and not empty."""
        self._check_input(X)
        if X.dim() != 2:
            raise ValueError(
                f"X must have shape (rows, {self.input_count}); got {tuple(X.shape)}: use "
                f"X.reshape(-1, {self.input_count})."
            )
        if len(X) == 0:
            raise ValueError("X has no rows, so there is nothing to look at.")
        bad = (~X.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            raise ValueError(
                f"X is {float(X[row, column].detach())} in row {row}, column {column} (counted "
                "from 0): drop the rows that are not finite."
            )

    def trace(self, x: Tensor) -> tuple[list[LayerTrace], Tensor]:
        """Evaluate on x of shape (rows, inputs), keeping what goes through every layer.

        Returns
        -------
        tuple
            The traces, one a layer, and the outputs of shape (rows, outputs).
        """
        self._check_input(x)
        traces: list[LayerTrace] = []
        for index, nodes in enumerate(self.nodes):
            subnodes = self.layer(index)(x)
            traces.append(LayerTrace(x, subnodes))
            x = nodes.combine(subnodes)
        return traces, x

    # -- grids -------------------------------------------------------------------------------

    @torch.no_grad()
    def update_grid(self, X: Tensor, shrink: bool = True) -> Self:
        """Move every layer's knots to where the data is, keeping the functions; in place.

        Parameters
        ----------
        X : Tensor of shape (rows, inputs)
        shrink : bool
            Whether ranges may become smaller.  First-order training says no: with steps of one
            size for all, a node that hardly varies yet would lose itself on tiny knots.
        """
        self.check_rows(X)
        x = X
        for index, nodes in enumerate(self.nodes):
            layer = self.layer(index)
            layer.update_grid(x, shrink)
            x = nodes.combine(layer(x))
        return self

    @torch.no_grad()
    def restart(self, X: Tensor, seed: int | None = None) -> Self:
        """Draw a new start scaled to the data; in place.

        Parameters
        ----------
        X : Tensor of shape (rows, inputs)
        seed : int, optional
            Becomes the network's seed.
        """
        self.check_rows(X)
        if seed is not None:
            self.seed = check_integer(seed, "seed", low=0, high=MOST_SEED)
        x, generator = X, self._generator()
        for index, nodes in enumerate(self.nodes):
            layer = self.layer(index)
            layer.reset_parameters(generator, x)
            x = nodes.combine(layer(x))
        return self

    def refine(self, grid: int) -> KAN:
        """Return a copy on a grid of `grid` intervals, with the functions kept.

        Exact where `grid` is a multiple of the present grid, a least-squares re-fit otherwise.
        """
        finer = self.copy()
        x = None if self.dataset is None else self.dataset.train.inputs.to(self.device, self.dtype)
        traces = None if x is None else self.trace(x[:: max(1, len(x) // 4096)])[0]
        for index in range(finer.depth):
            finer.layer(index).refine(grid, None if traces is None else traces[index].inputs)
        return finer

    # -- copies ------------------------------------------------------------------------------

    def copy(self) -> Self:
        """Return a copy that shares no parameter with this network."""
        return copy.deepcopy(self)

    # -- edges -------------------------------------------------------------------------------

    def __getitem__(self, key: tuple[int, int, int]) -> Edge:
        """Return edge (layer, input, output) for inspection, as ``model[0, 1, 2]``."""
        from .edges import Edge

        if not isinstance(key, tuple) or len(key) != 3:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"an edge is model[l, i, j], its layer, input and output; got model[{key!r}]."
            )
        return Edge(self, *self.check_edge(*key))

    def check_edge(self, l: int, i: int, j: int) -> tuple[int, int, int]:
        """Return the edge's indices, negative ones counted from the end, or raise IndexError."""
        l = check_index(l, "l", self.depth, "layers")
        layer = self.layer(l)
        return (
            l,
            check_index(i, "i", layer.in_features, f"inputs of layer {l}"),
            check_index(j, "j", layer.out_features, f"outputs of layer {l}"),
        )

    def inputs_or_recent(self, X: Tensor | None) -> Tensor:
        """Return X, or the training inputs of the last fit, as this network takes them.

        Raises
        ------
        ValueError
            If X is None and the network was not fitted to data in memory.
        """
        if X is not None:
            self.check_rows(X)
            return X.detach()
        if self.dataset is None:
            raise ValueError(
                "X is needed: this network has not been fitted to data in memory, so there are no "
                "inputs to look at."
            )
        return self.dataset.train.inputs.to(self.device, self.dtype)

    # -- doors into the modules above --------------------------------------------------------

    def attribute(self, X: Tensor | None = None) -> Attribution:
        """Score the importance of inputs, nodes and edges over X or the last fit's data."""
        from .sparsity import attribute

        return attribute(self, X)

    def explain(self, X: Any = None, **options: Any) -> Explanation:
        """Say what inputs and edges do over X or the last fit's data, to be printed or drawn.

        See `knotwork.explanation.explain` for options.
        """
        from .explanation import explain

        return explain(self, X, **options)

    def prune(
        self,
        node_threshold: float = 1e-2,
        edge_threshold: float = 3e-2,
        X: Tensor | None = None,
    ) -> KAN:
        """Return a network without the edges and nodes that do not matter.

        Its `prune_report` says what went.  See `knotwork.sparsity.prune`.
        """
        from .sparsity import prune

        return prune(self, node_threshold, edge_threshold, X)

    def prune_edges(self, threshold: float = 3e-2, X: Tensor | None = None) -> KAN:
        """Return a network without the edges that score below `threshold`."""
        from .sparsity import prune_edges

        return prune_edges(self, threshold, X)

    def prune_nodes(self, threshold: float = 1e-2, X: Tensor | None = None) -> KAN:
        """Return a network without the hidden nodes that score below `threshold`."""
        from .sparsity import prune_nodes

        return prune_nodes(self, threshold, X)

    def prune_inputs(self, threshold: float = 1e-2, X: Tensor | None = None) -> KAN:
        """Return a network without the inputs that score below `threshold`."""
        from .sparsity import prune_inputs

        return prune_inputs(self, threshold, X)

    def suggest_symbolic(
        self,
        l: int,
        i: int,
        j: int,
        lib: Sequence[str | SymbolicFunction] | None = None,
        X: Tensor | None = None,
    ) -> Suggestions:
        """Rank the functions of `lib` by how well they describe edge (l, i, j)."""
        from .symbolic import suggest_symbolic

        return suggest_symbolic(self, l, i, j, lib, X)

    def fix_symbolic(
        self,
        l: int,
        i: int,
        j: int,
        function: str | SymbolicFunction,
        X: Tensor | None = None,
    ) -> float:
        """Replace edge (l, i, j) by the best ``c * f(a*x + b) + d``; return its R^2; in place."""
        from .symbolic import fix_symbolic

        return fix_symbolic(self, l, i, j, function, X)

    def unfix_symbolic(self, l: int, i: int, j: int) -> None:
        """Give edge (l, i, j) the spline back that it had before `fix_symbolic`; in place."""
        l, i, j = self.check_edge(l, i, j)
        self.layer(l).unset_symbolic(i, j)

    def auto_symbolic(
        self, lib: Sequence[str | SymbolicFunction] | None = None, **options: Any
    ) -> SnapReport:
        """Replace every edge by a function of `lib`, judged in context; in place.

        See `knotwork.symbolic.auto_symbolic` for options.
        """
        from .symbolic import auto_symbolic

        return auto_symbolic(self, lib, **options)

    def symbolic_formula(
        self, var: Sequence[str | sympy.Symbol] | None = None
    ) -> tuple[list[sympy.Expr], list[sympy.Symbol]]:
        """Return the outputs' formulas and the variables in them, as SymPy expressions."""
        from .symbolic import symbolic_formula

        return symbolic_formula(self, var)

    def plot(self, X: Tensor | None = None, **options: Any) -> Figure:
        """Draw the network with every edge's function; see `knotwork.plotting.plot_network`."""
        from .plotting import plot_network

        return plot_network(self, X, **options)

    def export_onnx(self, path: str | PathLike[str], *, dtype: torch.dtype | None = None) -> None:
        """Write an ONNX file (opset 18), atomically; see `knotwork.export.export_onnx`."""
        from .export import export_onnx

        export_onnx(self, path, dtype=dtype)
