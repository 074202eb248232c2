"""The server for other programs: answers over HTTP and web sockets, for one model or several."""
