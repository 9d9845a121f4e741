"""Which version of zancudo this is."""

from importlib.metadata import PackageNotFoundError, version


def software_version() -> str:
    """The installed version, 0 for a source tree that is not installed."""
    try:
        return version("zancudo")
    except PackageNotFoundError:
        return "0"
