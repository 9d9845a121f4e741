"""The trap agent: capture, detect, count, keep, deliver."""

import os

# pydantic would read the metadata of every installed package, for plugins that a trap has none of
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
