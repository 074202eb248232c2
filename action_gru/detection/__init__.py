"""What is in a frame: boxes and keypoints, who is who from frame to frame, and both as vectors."""
