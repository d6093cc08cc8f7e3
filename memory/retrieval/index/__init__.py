"""Which past cameras may have seen what the coming ones will see, found without looking at every frame."""

from .camera_index import CameraIndex

__all__ = ["CameraIndex"]
