"""How the outputs of a detector's kind become boxes, scores and classes."""
