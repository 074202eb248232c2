"""`action-gru classify` as a script: name the action in videos. Also for launchers such as `accelerate launch`."""

from action_gru.cli import main

if __name__ == "__main__":
    main("classify")
