"""Search the variants of a model for the one to ship on a target."""
