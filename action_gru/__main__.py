"""`python -m action_gru` is `action-gru`."""

from action_gru.cli import main

if __name__ == "__main__":
    main()
