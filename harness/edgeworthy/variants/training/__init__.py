"""Fine-tuning under a constraint on the weights."""
