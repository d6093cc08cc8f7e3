"""What a memory knows of a scene's shape: depth that joins up, views of it, cameras measured in it."""
