"""An ONNX graph under construction: operations on tensors that are known by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import NodeProto, TensorProto

Value = str | NDArray[Any]
"""A tensor of the graph by its name, or an array that becomes a constant of it."""


class Graph:
    """A graph that computes in one floating dtype.

    Parameters
    ----------
    dtype : dtype of NumPy
        float32 or float64; floating constants are cast to it.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def apply(self, operation: str, *inputs: Value, **attributes: Any) -> str:
        """Add an operation of one output, and return the output's name."""
        from onnx import helper

        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        output = f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, names, [output], output, **attributes))
        return output

    def _constant(self, values: NDArray[Any]) -> str:
        """Return the name of a constant; equal ones are stored once."""
        from onnx import numpy_helper

        values = self._cast(values)
        key = values.dtype.str, values.shape, values.tobytes()
        if key not in self._names:
            self._names[key] = f"constant_{len(self._names)}"
            self.constants.append(numpy_helper.from_array(values, self._names[key]))
        return self._names[key]

    def _cast(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind != "f":
            return values.astype(np.int64)
        limits = np.finfo(self.dtype)
        if bool((np.isfinite(values) & (np.abs(values) > limits.max)).any()):
            raise ValueError(
                f"the network has numbers beyond {limits.max:.3g}, the largest of {self.dtype}: "
                "export it with dtype=torch.float64."
            )
        return values.astype(self.dtype)

    # -- what ONNX says in several words ---------------------------------------------------------

    def cast(self, flags: str) -> str:
        """Turn true and false into 1 and 0 of the graph's dtype."""
        from onnx import helper

        return self.apply("Cast", flags, to=helper.np_dtype_to_tensor_dtype(self.dtype))

    def columns(self, x: str, indices: Sequence[int], count: int) -> str:
        """Take some of the `count` columns of `x`."""
        if list(indices) == list(range(count)):
            return x
        return self.apply("Gather", x, np.array(indices), axis=1)

    def padded(self, x: str, before: int, after: int, dims: int, value: float = 0.0) -> str:
        """Put a constant before or behind the last of the `dims` axes of `x`."""
        pads = [0] * (dims - 1) + [before] + [0] * (dims - 1) + [after]
        return self.apply("Pad", x, np.array(pads), np.array(value))

    def reduced(self, operation: str, x: str, members: Sequence[Sequence[int]], count: int) -> str:
        """Reduce groups of the `count` columns of `x`, by ReduceSum or ReduceProd.

        Only a group's own columns have a part in it, so that a nan stays where it belongs, which
        it would not in a product with a matrix of zeros and ones.
        """
        most = max(len(group) for group in members)
        neutral = 1.0 if operation == "ReduceProd" else 0.0
        # One more column, of the neutral element, fills up the groups that are smaller.
        filled = [[*group, *[count] * (most - len(group))] for group in members]
        extended = self.padded(x, 0, 1, dims=2, value=neutral)
        grouped = self.apply("Gather", extended, np.array(filled), axis=1)
        return self.apply(operation, grouped, np.array([2]), keepdims=0)
