"""Camera paths in files, of this pack and of other programs: recognised by their content, checked, never trusted.

One module a layout, one table of them, `layouts.LAYOUTS`. A reader gives what the file says in our convention;
`reading` fills in what it leaves open. docs/camera_files.md lists the layouts for artists.
"""

from .layouts import LAYOUTS, READABLE, WRITABLE, describe
from .reading import read_trajectory
from .source import CameraFileError
from .writing import write_trajectory

__all__ = ["LAYOUTS", "READABLE", "WRITABLE", "CameraFileError", "describe", "read_trajectory", "write_trajectory"]
