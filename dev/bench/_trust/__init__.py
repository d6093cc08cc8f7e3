"""What `bench trust` measures, one file a part: each has a function `figures` that really measures."""
