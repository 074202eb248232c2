"""`action-gru evaluate` as a script: evaluate a finished run. Also for launchers such as `accelerate launch`."""

from action_gru.cli import main

if __name__ == "__main__":
    main("evaluate")
