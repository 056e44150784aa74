"""Backbones and heads: ImageNet weights, features, training, fine-tuning and inference."""
