"""The trap agent: capture, detect, count, keep, deliver."""
