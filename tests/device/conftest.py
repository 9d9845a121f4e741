"""What the device tests share."""

from pathlib import Path

import pytest

from device.bundles import write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model file that counts painted quadrants."""
    return write_bundle(tmp_path_factory.mktemp("bundle") / "quadrants.onnx")
