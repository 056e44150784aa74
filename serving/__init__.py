"""The client, the configuration and an embedded replacement of TensorFlow Serving."""
