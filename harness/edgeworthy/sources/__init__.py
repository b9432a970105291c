"""Model files and datasets become checked local input."""
