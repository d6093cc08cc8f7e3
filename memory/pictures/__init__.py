"""Pictures of a memory, an edit and a camera path."""
