"""How fast a trap counts: the benchmark of the target board."""
