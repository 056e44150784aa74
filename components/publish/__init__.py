"""From a Keras model to a served version: export, validation and push."""
