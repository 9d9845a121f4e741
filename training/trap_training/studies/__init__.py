"""Studies: several ways to train one student, scored on untouched pictures, compared and told."""
