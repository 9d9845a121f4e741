"""What a trap does with its card: apply trap.toml at every boot, and say how things are by light and on the card."""
