"""The trained network itself as a detector: what every file made from it is compared with."""

from collections.abc import Sequence

import numpy as np
import torch
from trap_contract.decode import DecodeSettings
from trap_contract.detector import Detector, new_crew
from trap_contract.manifest import Manifest
from trap_contract.runtimes import Tensor, TensorInfo

from trap_export.network import Network


class TorchRuntime:
    """A network in PyTorch, run as the trap runs a file."""

    def __init__(self, network: Network, manifest: Manifest) -> None:
        self._module = network.module
        self.description = "torch"
        self.input = TensorInfo(manifest.input.name, manifest.input.shape, "float32")
        self.outputs = tuple(TensorInfo(output.name, (), "float32") for output in manifest.head.outputs)

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Raw head maps for one input tensor."""
        with torch.inference_mode():
            maps: Sequence[torch.Tensor] = self._module(torch.from_numpy(tensor))
        return [np.asarray(found) for found in maps]


def reference_detector(network: Network, manifest: Manifest) -> Detector:
    """The network behind the trap's own letterbox and decoder; `manifest` describes its float tensors, NCHW."""
    settings = DecodeSettings(manifest.threshold, manifest.iou)
    order = tuple(range(len(manifest.head.outputs)))
    crew = new_crew(manifest.input, [TorchRuntime(network, manifest)])
    return Detector(manifest, settings, "0" * 64, crew, order)
