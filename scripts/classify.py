"""`action-gru classify` as a script, also for launchers: name the action in videos."""

from action_gru.cli import main

if __name__ == "__main__":
    main("classify")
