"""Numbers of Python in an ONNX graph: kept in float64, where the exporter of torch rounds them to float32.

A threshold of 0.7 would be 0.69999999 in the file, which decides a probability of 0.699999995 in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return the operations of torch with a number among their inputs, as ``torch.onnx.export`` takes them.

    Operations on a tensor and a number become operations on two tensors before they are translated, the number through
    ``scalar_tensor``; ``masked_fill`` alone keeps its own.
    """
    import onnx_ir
    from onnx import numpy_helper
    from onnxscript import opset18 as op

    def constant(value: float, dtype: Any) -> Any:
        return op.Constant(value=numpy_helper.from_array(np.array(value, onnx_ir.DataType(dtype).numpy())))

    def scalar_tensor(s: Any, dtype: int = -1, **_: Any) -> Any:
        kind = dtype if dtype != -1 else onnx_ir.DataType.FLOAT
        return constant(s, kind) if isinstance(s, bool | int | float) else op.Cast(s, to=kind)  # a size is a value

    def masked_fill(self: Any, mask: Any, value: float) -> Any:
        return op.Where(mask, constant(value, self.dtype), self)

    aten = torch.ops.aten
    return {aten.scalar_tensor.default: scalar_tensor, aten.masked_fill.Scalar: masked_fill}
