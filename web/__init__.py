"""The Flask tier: upload, result, history. Not built yet."""
