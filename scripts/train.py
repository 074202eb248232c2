"""`action-gru train` as a script: train a model from a YAML config. Also for launchers such as `accelerate launch`."""

from action_gru.cli import main

if __name__ == "__main__":
    main("train")
