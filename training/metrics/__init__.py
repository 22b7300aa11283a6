"""Measures of how close synthetic tiles come to real ones."""
