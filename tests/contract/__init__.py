"""Facts about what travels between the rooms."""
