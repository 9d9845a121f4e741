"""A fleet that is not there: traps that count by a rule, send as real ones do, and remember what they said."""
