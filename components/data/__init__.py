"""Photos: their sources, classes, folds, pixels and TFRecords."""
