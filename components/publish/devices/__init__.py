"""Exports of a Keras model for phones and edge devices: LiteRT, ONNX and OpenVINO."""
