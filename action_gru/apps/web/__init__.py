"""A page in the browser: upload a video or stream a camera, and see what happens when.

upload.py    one uploaded video: annotated copy, timeline, files to download
camera.py    cameras that stream in, one stream a browser
folders.py   where uploads and results lie, and when they go
guard.py     the page's limits, and the requests that it refuses
words.py     results as text and HTML; all that came from outside is escaped
video_tab.py, camera_tab.py, requests.py, page.py
             the components and what they call: these import Gradio (extra `web`)
server.py    from a run to an address; imports those only when a page is built
"""

from action_gru.apps.web.guard import Limits
from action_gru.apps.web.server import build_page, free_port, serve

__all__ = ["Limits", "build_page", "free_port", "serve"]
