"""Forgeries for training and testing only."""
