"""A page for visitors who did not train the model: they try a video, or their browser's camera.

It is made of the studio's parts: the routes of a tried file and of a camera, their worker process,
and the modules of its page, which lie in apps/studio/page and are served from there.
"""
