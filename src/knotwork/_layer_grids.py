"""Where the knots of a layer lie, and how they move."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import splines
from ._checks import check_integer
from ._layer_edges import LayerEdges
from .knots import adaptive_breaks, domain, extend_knots, is_batched, is_uniform, moved_range
from .splines import Extrapolation

# Quantiles and re-fits look at no more rows than this; more would not move a knot.
_MOST_ROWS = 4096


class LayerGrids(LayerEdges):
    """The part of a layer that knows its splines' knots, and moves them with the functions kept.

    Attributes
    ----------
    k : int
        Order of the splines.
    extrapolation : str
    grid_eps : float
        Blend of evenly spaced (1) and quantile (0) knots.
    knots : Tensor of shape (in_features, grid + 2 k + 1)
    coefficients : Parameter of shape (in_features, grid + k, out_features)
    """

    k: int
    extrapolation: Extrapolation
    grid_eps: float
    knots: Tensor
    coefficients: nn.Parameter
    # Knots that were looked at, and whether all of them are evenly spaced.
    _uniform: tuple[Tensor, bool] | None

    @property
    def grid(self) -> int:
        """Number of intervals between the ends of each input's knots."""
        return self.knots.shape[1] - 2 * self.k - 1

    @property
    def uniform(self) -> bool:
        """Whether every input's knots are evenly spaced."""
        # Looked at once for each knot vector: knots are replaced, never changed in place.
        known, knots = self._uniform, self.knots
        if known is not None and known[0] is knots:
            return known[1]
        if torch.compiler.is_compiling() or is_batched(knots):
            # Numbers cannot be looked at, and torch.export's knots are stand-ins; where nothing
            # is known "no" is right too, only slower.
            return known is not None and known[1] and torch.compiler.is_exporting()
        self._uniform = (knots, is_uniform(knots))
        return self._uniform[1]

    @torch.no_grad()
    def update_grid(self, x: Tensor, shrink: bool = True) -> None:
        """Move every input's knots to the data and re-fit, keeping the functions.

        An input that does not vary keeps the width of its knots, moved only if the data lies
        outside them: a dead node must not collapse its grid.

        Parameters
        ----------
        x : Tensor of shape (rows, in_features)
            Nothing happens if it has no rows.
        shrink : bool
            Whether the range may become smaller.
        """
        if len(x) == 0:
            return
        knots, x = self._knots_on(x, shrink)
        # A layer's own inputs, the table's columns, stay where they are from one move to the next.
        if not torch.equal(knots, self.knots):
            self._move_to(knots, x)

    def _knots_on(self, x: Tensor, shrink: bool = True) -> tuple[Tensor, Tensor]:
        """Return the knots that suit data `x`, and the rows of it that are enough to know them."""
        if not bool(x.isfinite().all()):
            raise ValueError(
                "X holds values that are not finite, so the grid was left as it was: drop those "
                "rows, or look for what made the network's values overflow."
            )
        low, high = domain(self.knots, self.k)
        new_low, new_high = moved_range(x, low, high)
        if not shrink:
            new_low, new_high = torch.minimum(low, new_low), torch.maximum(high, new_high)
        x = x[:: max(1, len(x) // _MOST_ROWS)]
        breaks = adaptive_breaks(x, new_low, new_high, self.grid, self.grid_eps)
        return extend_knots(breaks, self.k), x

    @torch.no_grad()
    def refine(self, grid: int, x: Tensor | None = None) -> None:
        """Go to a grid of `grid` intervals over the same range, keeping the functions.

        Exactly, by knot insertion, where `grid` is a multiple of the present one; otherwise by
        least squares over the range and, if given, the data `x` of shape (rows, in_features).
        """
        grid = check_integer(grid, "grid", low=1)
        breaks = self.knots[:, self.k : self.knots.shape[1] - self.k]
        position = torch.linspace(0, self.grid, grid + 1, dtype=breaks.dtype, device=breaks.device)
        interval = position.floor().long().clamp(max=self.grid - 1)
        share = position - interval
        finer = breaks[:, interval] * (1 - share) + breaks[:, interval + 1] * share
        self._move_to(extend_knots(finer, self.k), x)

    def _move_to(self, knots: Tensor, x: Tensor | None) -> None:
        coefficients = splines.refit(
            self.knots, self.coefficients.detach(), knots, self.k, x, self.extrapolation
        )
        self.knots, self._uniform = knots, None
        if coefficients.shape == self.coefficients.shape:
            self.coefficients.copy_(coefficients)
        else:
            self.coefficients = nn.Parameter(coefficients)
