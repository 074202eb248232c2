"""`action-gru extract` as a script: bring the features of all clips into the cache. Also for launchers such as `accelerate launch`."""

from action_gru.cli import main

if __name__ == "__main__":
    main("extract")
