"""A page in the browser: upload a video or stream a camera, and see what happens when.

server.py    from a run to an address in the browser; `Page` holds the tabs
upload.py    the tab of an uploaded video: annotated copy, timeline, files to download
camera.py    the tab of a browser's camera: one stream a browser
elements.py  results as HTML, and components that refuse what the page never sends
guard.py     the page's limits, the requests that it refuses, the temporary files

Gradio (extra `web`) is imported by the tabs alone, and these when a page is built. A further tab is
a class that makes its components and connects them, with a line in `Page`.
"""

from action_gru.apps.serving import free_port
from action_gru.apps.web.guard import Limits
from action_gru.apps.web.server import Page, serve

__all__ = ["Limits", "Page", "free_port", "serve"]
