"""Pictures for people to look at: chosen, kept within a budget, and sent when no count waits."""
