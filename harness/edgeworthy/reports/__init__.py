"""Data frames, the terminal table, markdown: made from records, never from pytest."""
