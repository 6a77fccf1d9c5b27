"""The accuracy benchmark: CICL and the methods that a user would take instead, on cells whose types are known."""
