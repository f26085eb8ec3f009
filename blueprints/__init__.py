"""Vertical slices: one package per service, the same file names in each."""
