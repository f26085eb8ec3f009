"""Measures the platform on the local cloud: ratios and percentiles, with the machine's load."""
