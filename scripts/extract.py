"""`action-gru extract` as a script, also for launchers: bring features into the cache."""

from action_gru.cli import main

if __name__ == "__main__":
    main("extract")
