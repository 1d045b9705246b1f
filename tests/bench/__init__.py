"""Ratios against peers and against ourselves; run by hand."""
