"""The immutable state of a memory: segments, cameras and depth of its frames, and the edits made to them."""
