"""A stand-in for TensorFlow Serving where there is no Docker: the same calls, answered in Python."""
