"""What every room may use: errors, files, paths, messages, retries. Knows no room above it."""
