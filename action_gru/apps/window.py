"""A window on the screen: shows pictures, reads keys. The only place that opens one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.errors import VideoError

PROBE = "import cv2; cv2.namedWindow('probe'); cv2.destroyAllWindows()"
QUIT = frozenset({"q", "Q", "\x1b"})


class Window:
    """Use as a context manager. Raises VideoError where no window can be opened."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._sized = False

    def __enter__(self) -> Window:
        check_display()
        import matplotlib  # takes a while, and who has no display need not wait for it

        # OpenCV's Qt brings no fonts and says so at every window; ours are matplotlib's.
        os.environ["QT_QPA_FONTDIR"] = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(self.title, flags)
        return self

    def __exit__(self, *exception: object) -> None:
        cv2.destroyAllWindows()

    def show(self, image: NDArray[np.uint8]) -> None:
        """image (H, W, 3) uint8 RGB."""
        if not self._sized:
            cv2.resizeWindow(self.title, image.shape[1], image.shape[0])
            self._sized = True
        cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def key(self) -> str:
        """The key that was pressed, or nothing; 'q' when the window was closed."""
        code = cv2.waitKey(1)
        if cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return chr(code & 0xFF) if code >= 0 else ""


def check_display() -> None:
    """Raise VideoError where OpenCV would end the process instead: it is tried in another one."""
    if sys.platform != "linux":
        return
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    reason = "neither DISPLAY nor WAYLAND_DISPLAY is set"
    if display:
        tried = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=False)
        if tried.returncode == 0:
            return
        reason = f"display '{display}' does not answer, or OpenCV was built without windows"
    raise VideoError(
        f"no window can be opened ({reason}); use --no-window with --json or --record, "
        "or run it on a desktop"
    )
