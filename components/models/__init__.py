"""Backbones and heads: built, run frozen, trained, and assembled."""
