"""Action recognition from video: frozen YOLO features, cached once, read by a GRU."""
