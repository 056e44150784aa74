"""Parsers of photo files that keep only what decoding needs, and refuse files that are too costly to decode."""
