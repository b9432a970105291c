"""Small models at random in three frameworks, one conversion in two damaged: what the gate catches, and if it is ever wrong."""
