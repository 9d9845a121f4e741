"""Review: people label crops; the labels become training data, and measure what the model gets wrong in the field."""
