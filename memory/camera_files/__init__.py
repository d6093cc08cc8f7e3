"""Camera paths in files, of this pack and of other programs: recognised by their content, checked, never trusted.

One module a layout, one table of them, `layouts.LAYOUTS`. A reader gives what the file says in our convention;
`reading` fills in what it leaves open. docs/camera_files.md lists the layouts for artists.
"""

from .layouts import LAYOUTS, READABLE, WRITABLE, write_trajectory
from .reading import read_trajectory
from .source import CameraFileError

__all__ = ["LAYOUTS", "READABLE", "WRITABLE", "CameraFileError", "read_trajectory", "write_trajectory"]
