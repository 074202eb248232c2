"""Scores predictions and writes reports: statistics, plots, Markdown and HTML. Knows no models.

Import from its modules; they load only what they need.
"""
