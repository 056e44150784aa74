"""Synthetic photos for trying things out."""
