"""Label issues, image quality issues, and the evaluation of a model on other photos."""
