"""Members of the ensemble: architectures, weights and their cards."""
