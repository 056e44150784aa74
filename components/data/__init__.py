"""Photos: where they come from, their classes and folds, their pixels, and the TFRecords of them."""
