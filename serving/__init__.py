"""What talks to TensorFlow Serving, configures it, or stands in for it."""
