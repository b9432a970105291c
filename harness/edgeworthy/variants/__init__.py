"""Recipes turn a source into artifacts; the artifact store keeps them."""
