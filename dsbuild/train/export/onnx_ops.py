"""Operations of TensorFlow that tf2onnx does not know, in operations of ONNX."""

from typing import Any

import numpy as np
from tf2onnx import utils
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """1 - erf(x), of which TensorFlow makes the activation GELU."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """Replace a node of a graph."""
        inputs, outputs, kinds = node.input, node.output, node.output_dtypes
        known = {"shapes": node.output_shapes, "dtypes": kinds}
        dtype = utils.map_onnx_to_numpy_type(kinds[0])
        graph.remove_node(node.name)
        one = graph.make_const(utils.make_name("one"), np.array(1, dtype)).output[0]
        erf = graph.make_node("Erf", inputs, **known).output[0]
        graph.make_node("Sub", [one, erf], outputs=outputs, name=node.name, **known)
