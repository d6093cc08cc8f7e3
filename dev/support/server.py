"""A real ComfyUI process: started on a port of its own, waited for, watched, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..checks import free_port
from ..console import SetupError
from ..link import link_pack
from ..paths import ROOT

if TYPE_CHECKING:
    from .client import Client

START_S = 600.0
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def as_ctrl_c() -> None:
    """Lets a SIGTERM end this process as Ctrl-C does, so that what it started ends with it."""
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


class HostServer:
    """`with HostServer(python, comfyui, base=folder) as server: ... server.url`.

    With `base` the server lives in that folder (models, input, output, user, custom_nodes) and loads only this pack;
    without it, it is the installation as its owner has it. `frontend` is a folder with another page than ComfyUI's
    own, `checkout` another copy of the pack. `restart` keeps port and folder.
    """

    def __init__(
        self,
        python: Path,
        comfyui: Path,
        *,
        base: Path | None,
        port: int | None = None,
        cpu: bool = True,
        frontend: Path | None = None,
        checkout: Path = ROOT,
        arguments: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.base = base or comfyui
        self.output = self.base / "output"
        self.log_path = (base or ROOT / ".serve") / "comfyui.log"
        self._comfyui = comfyui
        self._command = [str(python), str(comfyui / "main.py"), "--listen", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--cpu"] if cpu else []
        self._command += arguments
        self._command += ["--front-end-root", str(frontend)] if frontend else []
        if base is not None:
            pack = link_pack(base / "custom_nodes", checkout)
            self._command += ["--base-directory", str(base), "--disable-api-nodes"]
            self._command += ["--database-url", f"sqlite:///{(base / 'comfyui.db').as_posix()}"]
            self._command += ["--disable-all-custom-nodes", "--whitelist-custom-nodes", pack]
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """A connection to the server; a new one after a restart."""
        if self._client is None:
            # Needs aiohttp, which dev.py's own Python need not have.
            from .client import Client

            self._client = Client(self.url)
        return self._client

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Starts the process and returns when it answers. From now on a SIGTERM is as Ctrl-C: the process ends, too.

        Raises:
            SetupError: it ended, or did not answer in time; the sentence holds the end of its log.
        """
        as_ctrl_c()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._comfyui,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
            )
        deadline = time.monotonic() + START_S
        try:
            while not self.answers():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise SetupError(f"ComfyUI did not start; the end of {self.log_path}:\n{self.log_text()[-3000:]}")
                time.sleep(0.25)
        except BaseException:
            self.stop()
            raise

    def answers(self) -> bool:
        try:
            with LOCAL.open(f"{self.url}/system_stats", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Ends the process: asked first, then made to."""
        self._disconnect()
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Ends the process without warning, as a crash would."""
        self._disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def wait(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.wait()

    def log_text(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def peak_rss_mb(self) -> float:
        """The most memory that the process has held at one time, in MB (1e6 bytes)."""
        if sys.platform == "linux":
            status = Path(f"/proc/{self.pid}/status").read_text()
            kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
            return int(kilobytes) * 1024 / 1e6
        import psutil  # comes with ComfyUI

        memory = psutil.Process(self.pid).memory_info()
        return float(getattr(memory, "peak_wset", memory.rss)) / 1e6

    def __enter__(self) -> HostServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
