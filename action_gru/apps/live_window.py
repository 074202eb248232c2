"""A window on the screen, through OpenCV. Knows nothing of what it shows."""

from __future__ import annotations

import os
from pathlib import Path

import cv2

from action_gru.apps.checks import check_display
from action_gru.video import Image


class Window:
    """A window on the screen: shows pictures, reads keys. Use as a context manager.

    Raises VideoError where no window can be opened.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._sized = False

    def __enter__(self) -> Window:
        check_display()
        import matplotlib  # slow, and not needed without a display

        # OpenCV's Qt brings no fonts and says so at every window; ours are matplotlib's.
        os.environ["QT_QPA_FONTDIR"] = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(self.title, flags)
        return self

    def __exit__(self, *exception: object) -> None:
        cv2.destroyAllWindows()

    def show(self, image: Image) -> None:
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
