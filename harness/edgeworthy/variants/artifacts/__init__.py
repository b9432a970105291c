"""Artifacts by content: the store's, or made in child processes that hold one framework each."""
