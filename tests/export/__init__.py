"""Facts about bundles made from a trained student."""
