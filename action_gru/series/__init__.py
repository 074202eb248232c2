"""Measured sequences: tables, `.ts` files and arrays; the recognizer of their rows; watching them.

Knows nothing of video. recording.py: what every reader gives. source.py: clips and their features.
A new kind of data is a module with a Source here and a line in `action_gru.config.section`.
"""
