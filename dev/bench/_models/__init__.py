"""What `bench models` measures: one row for each family of models that Shot Generator serves."""
