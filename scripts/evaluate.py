"""`action-gru evaluate` as a script, also for launchers: evaluate a finished run."""

from action_gru.cli import main

if __name__ == "__main__":
    main("evaluate")
