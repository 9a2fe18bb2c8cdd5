"""Kolmogorov-Arnold Networks that are fast, reliable and readable."""
