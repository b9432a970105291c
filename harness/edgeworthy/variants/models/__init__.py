"""A user's model in every form that recipes ask for, its inputs and outputs, and whether two forms are the same model."""
