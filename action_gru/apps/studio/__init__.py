"""The studio: record, label, train and try one's own actions in a browser.

`server.py` answers the page and imports nothing heavy, so it opens at once. What needs a network
runs in two worker processes, the engines: `reader` looks at pictures, `trainer` learns.
"""
