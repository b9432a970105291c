"""What a model is for: how its outputs become predictions, and how good these are."""
