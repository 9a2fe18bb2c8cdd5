"""Networks as files for other programs: ONNX."""

from .network import OPSET as OPSET
from .network import export_onnx as export_onnx
