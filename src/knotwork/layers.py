r"""One layer of a Kolmogorov-Arnold network: a one-dimensional function on every edge.

.. math:: y_j = \beta_j + \sum_i \varphi_{ij}(x_i), \qquad
          \varphi_{ij}(x) = w_{ij}\, b(x) + \sum_g c_{igj}\, B_{ig}(x)

with the residual function `b` (SiLU unless told otherwise) and B-splines on input `i`'s own knots.
An edge may also be *absent* (zero) or *symbolic*, :math:`\varphi(x) = c\, f(a x + b)`.  Its
constant term lives in the node's bias, so that every function is written in one way only.

Reference: Z. Liu et al., "KAN: Kolmogorov-Arnold Networks", arXiv 2404.19756, section 2.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from . import kernels, splines
from ._checks import (
    autocast_converts,
    check_choice,
    check_device,
    check_dtype,
    check_integer,
    check_number,
    check_range,
)
from ._layer_edges import ABSENT as ABSENT
from ._layer_edges import SPLINE as SPLINE
from ._layer_edges import SYMBOLIC as SYMBOLIC
from ._layer_edges import constants_of
from ._layer_grids import LayerGrids
from .knots import (
    domain,
    extend_knots,
    greville,
    is_uniform,
    uniform_breaks,
    varies,
)
from .residuals import RESIDUALS, Residual
from .splines import Extrapolation

if TYPE_CHECKING:
    from os import PathLike

MAX_ORDER = 5

# Share of a fresh edge's second moment that its ramp, its residual and its noise carry: mostly
# slope, which keeps samples apart through depth, and enough noise that no two edges start alike.
_START_SHARES = {"ramp": 0.60, "residual": 0.40, "noise": 0.10}


@dataclass(frozen=True)
class Features:
    """What a layer's edges are linear in, at each sample.

    Attributes
    ----------
    values, slopes : Tensors of shape (rows, inputs, features)
        The basis functions, then the residual if there is one, and their first derivatives.
    """

    values: Tensor
    slopes: Tensor


class KANLayer(LayerGrids):
    """A layer of learnable one-dimensional functions, usable in place of ``nn.Linear``.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output.
    grid : int
        Intervals between the ends of each input's knots.
    k : int
        Order of the splines, 1 to 5 (3 is cubic).
    residual : str or None
        Function added to every spline: "silu", "identity", "tanh", "sin", or None.
    grid_range : pair of float
        Ends of the first knots; `update_grid` moves them to the data.
    grid_eps : float
        Blend of evenly spaced (1) and quantile (0) knots in `update_grid`.
    extrapolation : str
        What holds outside the knots: "linear", "constant", "continue", "zero" or "error".
    dtype, device
        Of the parameters; torch's defaults if None.
    generator : torch.Generator, optional
        Source of the random start.  Without one torch's own is drawn from, as ``nn.Linear`` does.

    Examples
    --------
    >>> layer = KANLayer(3, 2, generator=torch.Generator().manual_seed(0))
    >>> layer(torch.zeros(4, 5, 3)).shape
    torch.Size([4, 5, 2])
    """

    residual_weight: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        grid: int = 5,
        k: int = 3,
        *,
        residual: str | None = "silu",
        grid_range: tuple[float, float] = (-1.0, 1.0),
        grid_eps: float = 1.0,
        extrapolation: Extrapolation = "linear",
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.in_features = check_integer(in_features, "in_features", low=1)
        self.out_features = check_integer(out_features, "out_features", low=1)
        self.k = check_integer(k, "k", low=1, high=MAX_ORDER)
        grid = check_integer(grid, "grid", low=1)
        if residual is not None:
            check_choice(residual, "residual", RESIDUALS)
        check_choice(extrapolation, "extrapolation", splines.EXTRAPOLATIONS)
        self.residual = residual
        self.extrapolation: Extrapolation = extrapolation
        grid_range = check_range(grid_range)
        if not 0 <= check_number(grid_eps, "grid_eps") <= 1:
            raise ValueError(f"grid_eps must be from 0 (quantiles) to 1 (even); got {grid_eps}.")
        self.grid_eps = float(grid_eps)
        self.functions = []

        dtype = check_dtype(torch.get_default_dtype() if dtype is None else dtype)
        device = None if device is None else check_device(device)
        options: dict[str, Any] = {"dtype": dtype, "device": device}
        low = torch.full((in_features,), float(grid_range[0]), **options)
        high = torch.full_like(low, float(grid_range[1]))
        knots = extend_knots(uniform_breaks(low, high, grid), k)
        edges = (in_features, out_features)
        self.register_buffer("knots", knots)
        self._uniform = None
        if not knots.is_meta:
            self._uniform = knots, is_uniform(knots)
        self.register_buffer("kind", torch.full(edges, SPLINE, dtype=torch.uint8, device=device))
        self.register_buffer("symbolic_edges", torch.zeros(0, 2, dtype=torch.int64, device=device))
        self.register_buffer("offsets", torch.zeros(0, **options))
        self.register_buffer("replaced", torch.zeros(0, dtype=torch.uint8, device=device))
        self.coefficients = nn.Parameter(
            torch.zeros(in_features, grid + k, out_features, **options)
        )
        self.residual_weight = nn.Parameter(torch.zeros(edges, **options)) if residual else None
        self.bias = nn.Parameter(torch.zeros(out_features, **options))
        self.affine = constants_of(torch.zeros(0, 3, **options))
        self.reset_parameters(generator)

    @torch.no_grad()
    def reset_parameters(
        self, generator: torch.Generator | None = None, x: Tensor | None = None
    ) -> None:
        """Draw a fresh start: a random ramp, residual and noise on every spline edge.

        The variances are those that map inputs of mean square 1 to outputs of mean square 1, so
        that activations keep their size through depth.

        Parameters
        ----------
        generator : torch.Generator, optional
            Source of the random numbers; torch's own if None.
        x : Tensor of shape (rows, in_features), optional
            The layer's data.  Given, the knots move to it and the start is scaled by it, so that
            neither its units nor its origin matter.
        """
        shape = self.kind.shape
        share = dict(_START_SHARES)
        if self.residual is None:
            share["ramp"] += share.pop("residual")
        draw = {name: self._normal(shape, generator) for name in ("ramp", "residual")}
        noise = self._normal(self.coefficients.shape, generator)
        scale = {name: math.sqrt(value / self.in_features) for name, value in share.items()}
        centre, spread = self.knots.new_zeros(self.in_features), self.knots.new_ones(1)
        if x is not None and len(x) > 1:
            # Nothing is re-fitted: the coefficients are about to be drawn.
            self.knots, self._uniform = self._knots_on(x)[0], None
            centre, spread = x.mean(dim=0), x.std(dim=0, correction=0)
            low, high = domain(self.knots, self.k)
            spread = torch.where(varies(x), spread, (high - low) / 2)
        abscissae = greville(self.knots, self.k)
        ramp = ((abscissae - centre[:, None]) / spread[:, None])[..., None] * draw["ramp"][:, None]
        # Noise tapers off at the ends, where linear extrapolation would blow its slope up.
        low, high = domain(self.knots, self.k)
        position = (abscissae - low[:, None]) / (high - low)[:, None]
        taper = (4 * position * (1 - position)).clamp(0, 1)[..., None]
        self.coefficients.copy_(ramp * scale["ramp"] + noise * taper * scale["noise"])
        self.bias.zero_()
        if self.residual_weight is not None:
            size = self._residual_size(x)[:, None]
            self.residual_weight.copy_(draw["residual"] * scale["residual"] / size)

    def _normal(self, shape: torch.Size, generator: torch.Generator | None) -> Tensor:
        # Drawn on the CPU in float64, so that a seed means the same start on every device.
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
        return drawn.to(self.knots)

    def _residual_size(self, x: Tensor | None) -> Tensor:
        """Return the residual's root mean square over the data, or over a standard normal."""
        residual = self.residual_function
        if residual is None:
            return self.knots.new_ones(1)
        if x is not None and len(x) > 1:
            size = residual.value(x).square().mean(dim=0).sqrt()
            return torch.where(size > 0, size, torch.ones_like(size))
        nodes = torch.linspace(-6, 6, 1201, dtype=self.knots.dtype, device=self.knots.device)
        density = torch.exp(-(nodes**2) / 2)
        square = (residual.value(nodes).square() * density).sum() / density.sum()
        return square.sqrt()[None]

    # -- what the layer is ---------------------------------------------------------------------

    @property
    def rule(self) -> kernels.Rule:
        """What the layer's splines are, apart from its tensors."""
        return kernels.Rule(self.k, self.uniform, self.extrapolation, self.residual)

    @property
    def splines(self) -> kernels.SplineLayer:
        """The layer's tensors and rule, as the kernels take them."""
        return kernels.SplineLayer(
            self.knots,
            self.coefficients,
            self.residual_weight,
            self.bias,
            self.kind,
            self.rule,
        )

    @property
    def residual_function(self) -> Residual | None:
        """The residual's value and derivative, or None."""
        return None if self.residual is None else RESIDUALS[self.residual]

    def extra_repr(self) -> str:
        """Return what ``print`` shows of the layer."""
        text = (
            f"{self.in_features}, {self.out_features}, grid={self.grid}, k={self.k}, "
            f"residual={self.residual!r}"
        )
        if self.kind.is_meta:
            return text
        counts = [int((self.kind == kind).sum()) for kind in (SPLINE, SYMBOLIC, ABSENT)]
        return "{}, edges: {} spline, {} symbolic, {} absent".format(text, *counts)

    # -- evaluation ------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the layer.

        Parameters
        ----------
        x : Tensor of shape (..., in_features)

        Returns
        -------
        Tensor of shape (..., out_features)
            In the dtype of `x`; under autocast in autocast's, unless `x` or the layer is float64.

        Raises
        ------
        TypeError
            If `x` is no tensor, or of another dtype than the layer while autocast is off.
        ValueError
            If the last dimension of `x` is of another size.
        """
        if not isinstance(x, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"X must be a tensor; got {type(x).__name__}: use torch.as_tensor(X).")
        if x.dim() == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"X has shape {tuple(x.shape)}, but this layer takes {self.in_features} features "
                "in the last dimension."
            )
        dtype = self.knots.dtype
        if not x.is_floating_point():
            raise TypeError(
                f"X must hold floating-point numbers; got {x.dtype}: use X.to({dtype})."
            )
        if autocast_converts(x, dtype):
            return self._forward_under_autocast(x)
        if x.dtype != dtype:
            raise TypeError(
                f"X is {x.dtype}, but the layer is {dtype}: use X.to({dtype}) or "
                f"KANLayer(..., dtype={x.dtype})."
            )
        flat = x if x.dim() == 2 else x.reshape(-1, self.in_features)
        y = self.spline_sums(flat)
        if self.functions:
            y = self._with_symbolic(y, flat)
        return y if x.dim() == 2 else y.reshape(*x.shape[:-1], self.out_features)

    def _forward_under_autocast(self, x: Tensor) -> Tensor:
        """Evaluate in the layer's own dtype, and return autocast's, as ``nn.Linear`` does.

        Half precision would not tell where in its interval a point lies.
        """
        device = x.device.type
        with torch.autocast(device, enabled=False):
            y = self.forward(x.to(self.knots.dtype))
        return y.to(torch.get_autocast_dtype(device))

    def spline_sums(self, x: Tensor) -> Tensor:
        """Return the outputs without symbolic edges, for x of shape (rows, inputs)."""
        return kernels.spline_layer(x, self.splines)

    def spline_gradient(self, x: Tensor, grad: Tensor) -> Tensor:
        """Return the gradient of x that comes through spline edges, given that of the outputs.

        Not differentiable itself: for derivatives that torch's autograd has no part in.
        """
        return kernels.input_gradient(grad, x, self.splines)

    def mix(self, values: Tensor, x: Tensor) -> Tensor:
        """Return the outputs for x of shape (rows, inputs), given its `feature_values`."""
        weights = self.feature_weights()
        y = torch.addmm(self.bias, values.flatten(1), weights.flatten(0, 1))
        return self._with_symbolic(y, x) if self.functions else y

    def _with_symbolic(self, y: Tensor, x: Tensor) -> Tensor:
        return y.index_add(1, self.symbolic_edges[:, 1], self.symbolic_values(x))

    def feature_values(self, x: Tensor) -> Tensor:
        """Return what spline edges are linear in: shape (rows, inputs, features).

        The basis functions, then the residual if there is one.
        """
        return kernels.features(x, self.knots, self.rule)[0]

    def features(self, x: Tensor) -> Features:
        """Return the features and their slopes, for x of shape (rows, inputs)."""
        return Features(*kernels.features(x, self.knots, self.rule, (0, 1)))

    def feature_weights(self) -> Tensor:
        """Return every edge's weights on `features`: shape (inputs, features, outputs)."""
        return kernels.feature_weights(self.splines)

    def edge_values(self, x: Tensor) -> Tensor:
        """Return every edge's own output: shape (rows, in_features, out_features).

        For looking at a network; training never forms it.
        """
        values = torch.einsum("nif,ifo->nio", self.feature_values(x), self.feature_weights())
        if self.functions:
            i, j = self.symbolic_edges.T
            values = values.clone()
            values[:, i, j] = self.symbolic_values(x)
        return values

    # -- state -----------------------------------------------------------------------------------

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # Grids and symbolic edges change the shapes of parameters; take the saved ones.
        for name, parameter in (("coefficients", nn.Parameter), ("affine", constants_of)):
            saved = state_dict.get(prefix + name)
            current: nn.Parameter = getattr(self, name)
            if saved is not None and saved.shape != current.shape and self._fits(name, saved):
                setattr(self, name, parameter(current.new_empty(saved.shape)))
        for name in ("knots", "symbolic_edges", "offsets", "replaced"):
            saved = state_dict.get(prefix + name)
            if saved is not None and self._fits(name, saved):
                setattr(self, name, getattr(self, name).new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._uniform = None

    def _fits(self, name: str, saved: Tensor) -> bool:
        """Tell whether a saved tensor differs only in the axis that grids or symbols change."""
        fixed = {"coefficients": (0, 2), "knots": (0,), "affine": (1,), "symbolic_edges": (1,)}
        current: Tensor = getattr(self, name)
        axes = fixed.get(name, ())
        return saved.dim() == current.dim() and all(
            saved.shape[axis] == current.shape[axis] for axis in axes
        )

    def select(self, inputs: list[int], outputs: list[int]) -> KANLayer:
        """Return a layer of only these inputs and outputs, with the edges between them."""
        part = copy.deepcopy(self)
        part.in_features, part.out_features = len(inputs), len(outputs)
        rows = torch.tensor(inputs, device=self.knots.device)
        columns = torch.tensor(outputs, device=self.knots.device)
        kept = [
            (position, inputs.index(i), outputs.index(j))
            for position, (i, j) in enumerate(self.symbolic_edges.tolist())
            if i in inputs and j in outputs
        ]
        positions = torch.tensor([entry[0] for entry in kept], device=rows.device).long()
        part.functions = [self.functions[entry[0]] for entry in kept]
        edges = [list(entry[1:]) for entry in kept]
        part.symbolic_edges = torch.tensor(edges, device=rows.device).long().reshape(-1, 2)
        part.offsets = self.offsets[positions]
        part.replaced = self.replaced[positions]
        part.affine = constants_of(self.affine.detach()[positions])
        part.knots = self.knots[rows]
        part.kind = self.kind[rows][:, columns]
        part.coefficients = nn.Parameter(
            self.coefficients.detach()[rows][:, :, columns].contiguous()
        )
        if self.residual_weight is not None:
            part.residual_weight = nn.Parameter(self.residual_weight.detach()[rows][:, columns])
        part.bias = nn.Parameter(self.bias.detach()[columns])
        return part

    def export_onnx(self, path: str | PathLike[str], *, dtype: torch.dtype | None = None) -> None:
        """Write an ONNX file (opset 18), atomically; see `knotwork.export.export_onnx`."""
        from .export import export_onnx

        export_onnx(self, path, dtype=dtype)
