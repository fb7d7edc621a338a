"""Recipes and what they need: data, augmentation, the training loop."""
