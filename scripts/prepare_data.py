"""`action-gru prepare` as a script: turn a data set into a manifest. Also for launchers such as `accelerate launch`."""

from action_gru.cli import main

if __name__ == "__main__":
    main("prepare")
