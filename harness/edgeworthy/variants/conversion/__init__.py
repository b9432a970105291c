"""From one framework's model to another's."""
