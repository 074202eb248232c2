"""Evaluates trained models: test scores, cross-validation, and explanations of single answers.

Import from its modules; they load only what they need.
"""
