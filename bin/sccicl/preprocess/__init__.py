"""Counts to z-scores: quality control, genes, normalisation, batches, feature matrices."""
