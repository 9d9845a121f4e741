"""Pictures -> teacher -> distilled students -> report."""
