"""Datasets become checked samples on disk."""
