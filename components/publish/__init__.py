"""From a Keras model to a version that is served: exported, validated, pushed."""
