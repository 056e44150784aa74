"""What is wrong with photos and labels, and what a model is worth on other photos."""
