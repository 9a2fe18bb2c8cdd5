"""Pictures: each function returns a Matplotlib Figure, and its data is available by itself.

Nothing here touches ``matplotlib.pyplot``: figures belong to whoever asked for them, no window
opens and no file is written.  Save one with ``figure.savefig("network.pdf")``.
"""

from .basis import BasisDrawing as BasisDrawing
from .basis import basis_drawing as basis_drawing
from .basis import plot_basis as plot_basis
from .edge import EdgeDrawing as EdgeDrawing
from .edge import edge_drawing as edge_drawing
from .edge import plot_edge as plot_edge
from .history import plot_history as plot_history
from .interpolation import InterpolationDrawing as InterpolationDrawing
from .interpolation import interpolation_drawing as interpolation_drawing
from .interpolation import plot_interpolation as plot_interpolation
from .network_diagram import plot_network as plot_network
from .network_diagram import plot_networks as plot_networks
from .network_drawing import DrawnEdge as DrawnEdge
from .network_drawing import DrawnNode as DrawnNode
from .network_drawing import NetworkDrawing as NetworkDrawing
from .network_drawing import network_drawing as network_drawing
