"""The memory on disk: files that appear whole or not at all, and the head that names them."""
