"""Makes data, weights and evidence. The running Space never imports it."""
