"""A Python server with the API of TensorFlow Serving, for machines without Docker."""
