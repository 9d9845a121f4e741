"""The image, booted in an emulator beside a real broker and collector, and what is done to it there."""
