"""A QDQ ONNX that TensorRT 10 and later take as it is: symmetric activations, float biases, no fused activations.

See docs/jetson.md for the steps on the board.
"""

from pathlib import Path

from trap_contract.manifest import HeadSpec, InputSpec

from trap_export import onnx
from trap_export.calibration import Calibration
from trap_export.network import Network
from trap_export.variants import Variant

VARIANTS: tuple[Variant, ...] = (Variant("min-max"), Variant("percentile"), Variant("moving average"))
_EXPLICIT = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "DedicatedQDQPair": True,
    "QuantizeBias": False,
    "QDQKeepRemovableActivations": True,
}


def write_float(network: Network, file: Path) -> None:
    """As for ONNX Runtime: TensorRT makes its float16 engine from it."""
    onnx.write_float(network, file)


def write_int8(network: Network, float_file: Path, calibration: Calibration, variant: Variant, file: Path) -> None:
    """Quantise explicitly, every zero point 0."""
    onnx.quantise(network, float_file, calibration, variant, file, activations="int8", options=_EXPLICIT)


def describe(network: Network, file: Path) -> tuple[InputSpec, HeadSpec]:
    """Input and outputs: as in the ONNX file, both float."""
    return onnx.describe(network, file)
