"""Readers, validation, backed counts, h5ad and model files."""
