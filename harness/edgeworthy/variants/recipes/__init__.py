"""What makes an artifact of a source, by runtime, and the tools that recipes have in common."""
