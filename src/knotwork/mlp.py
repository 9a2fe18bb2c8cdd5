"""A plain multilayer perceptron with the doors of a `KAN`, to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ._checks import MOST_SEED, check_choice, check_device, check_dtype, check_input, check_integer
from .trainable import Trainable

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "silu": nn.functional.silu,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "gelu": nn.functional.gelu,
        "sin": torch.sin,
    }
)


class MLP(Trainable):
    r"""A multilayer perceptron: linear layers with an activation between them.

    Weights start normal with variance :math:`1 / (n\, E[a(z)^2])`, where `n` is the number of the
    layer's inputs, `a` the activation that they went through (none before the first layer) and `z`
    standard normal, so that inputs of mean square 1 give sums of mean square 1 at every depth.
    Without an activation this is LeCun's rule, with "relu" it is He's, 2 / n.  Biases start uniform
    between :math:`\pm 1/\sqrt{n}`.  Unlike a `KAN`, it isn't scaled to the data by `fit`: give it
    inputs and targets of about unit size.

    Parameters
    ----------
    width : list of int
        Units per layer, inputs first: ``[2, 32, 32, 1]``.
    activation : str
        "silu", "tanh", "relu", "gelu" or "sin".
    seed : int
        Seed of the random start.
    dtype, device
        Of the parameters.

    Attributes
    ----------
    layers : ModuleList of Linear
    dataset : Dataset or None
        What the network was last fitted to.
    input_names, output_names : tuple of str or None
        Taken from the data where it has names.

    Examples
    --------
    >>> from knotwork import create_dataset
    >>> from knotwork.mlp import MLP
    >>> data = create_dataset(lambda x: x[:, 0] * x[:, 1], n_var=2, train_num=200)
    >>> model = MLP([2, 8, 1])
    >>> history = model.fit(data, steps=30)
    >>> bool(history.test_loss[-1] < 1e-2)
    True
    """

    def __init__(
        self,
        width: Sequence[int],
        *,
        activation: str = "silu",
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.width = _check_width(width)
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        self.seed = check_integer(seed, "seed", low=0, high=MOST_SEED)
        dtype, device = check_dtype(dtype), check_device(device)
        # Made without memory first, since Linear would draw from torch's own random numbers.
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs, dtype=dtype, device="meta").to_empty(device=device)
            for inputs, outputs in pairwise(self.width)
        )
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the start that belongs to the network's seed."""
        generator = torch.Generator().manual_seed(self.seed)
        for index in range(len(self.layers)):
            layer = self.layer(index)
            size = 1.0 if index == 0 else _mean_square(ACTIVATIONS[self.activation])
            # Drawn on the CPU in float64, so that a seed means the same start on every device.
            drawn = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
            layer.weight.copy_(drawn / math.sqrt(layer.in_features * size))
            drawn = torch.rand(layer.bias.shape, generator=generator, dtype=torch.float64)
            layer.bias.copy_((2 * drawn - 1) / math.sqrt(layer.in_features))

    # -- what the network is -----------------------------------------------------------------

    @property
    def input_count(self) -> int:
        """Number of inputs."""
        return self.width[0]

    @property
    def output_count(self) -> int:
        """Number of outputs."""
        return self.width[-1]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the parameters."""
        return self.layer(0).weight.dtype

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.layer(0).weight.device

    def layer(self, index: int) -> nn.Linear:
        """Return layer number `index`, typed."""
        layer = self.layers[index]
        assert isinstance(layer, nn.Linear)
        return layer

    def parameter_count(self) -> int:
        """Count the weights and biases."""
        return sum(parameter.numel() for parameter in self.parameters())

    def extra_repr(self) -> str:
        """Return what ``print`` shows of the network beside its layers."""
        return f"width={self.width}, activation={self.activation!r}"

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
        activation = ACTIVATIONS[self.activation]
        for index, layer in enumerate(self.layers):
            x = layer(x if index == 0 else activation(x))
        return x

    def _check_input(self, x: Tensor) -> None:
        check_input(
            x,
            inputs=self.input_count,
            like=self.layer(0).weight,
            network=type(self).__name__,
        )


def _check_width(width: Sequence[int]) -> list[int]:
    if not isinstance(width, Sequence) or isinstance(width, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"width must be a list such as [2, 32, 1]; got {width!r}.")
    if len(width) < 2:
        raise ValueError(
            f"width must have at least an input and an output entry, as [2, 1]; got {width!r}."
        )
    return [
        check_integer(entry, f"width[{position}]", low=1) for position, entry in enumerate(width)
    ]


def _mean_square(activation: Callable[[Tensor], Tensor]) -> float:
    """Return the mean square of the activation of a standard normal number."""
    z = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2)
    return float((activation(z).square() * density).sum() / density.sum())
