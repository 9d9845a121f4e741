"""Alerts: pure rules over what is known of a trap, their states, and thin senders."""
