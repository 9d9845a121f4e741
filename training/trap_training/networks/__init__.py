"""Networks of our own for slow boards, as Ultralytics model YAMLs; a recipe names one as `pico.yaml`."""

from pathlib import Path


def network_file(name: str) -> Path | None:
    """Where our network of this bare file name lies, or None if it is not ours."""
    file = Path(__file__).with_name(name) if Path(name).suffix == ".yaml" and Path(name).name == name else None
    return file if file is not None and file.is_file() else None
