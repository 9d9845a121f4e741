"""Who may speak on the broker: the fleet's certificate authority, its traps, and the broker's rules."""
