"""Boxes and keypoints in frames, their tracks, and both as feature vectors."""
