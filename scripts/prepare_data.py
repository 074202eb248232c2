"""`action-gru prepare` as a script, also for launchers: turn a data set into a manifest."""

from action_gru.cli import main

if __name__ == "__main__":
    main("prepare")
