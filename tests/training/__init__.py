"""Facts about pictures, recipes and training runs."""
