"""`action-gru train` as a script, also for launchers: train from a YAML config."""

from action_gru.cli import main

if __name__ == "__main__":
    main("train")
