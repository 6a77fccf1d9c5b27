"""Numerical tools: principal components, nearest neighbours, sampling, ordering."""
