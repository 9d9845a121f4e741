"""Who may do what: people with passwords and sessions, machines with tokens, and a log of every change."""
