"""Asks trained models questions: scores on held-out clips, timelines, and why one answer.

Import from its modules; they load only what they need.
"""
