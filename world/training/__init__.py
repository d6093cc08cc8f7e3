"""Training of the bundled world model."""
