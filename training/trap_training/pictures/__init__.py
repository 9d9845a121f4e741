"""Pictures and labels before training: rendered, imported, split, checked, varied, shown."""
