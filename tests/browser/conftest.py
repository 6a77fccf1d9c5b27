"""The samples that the page shows are those of the unit tests."""
