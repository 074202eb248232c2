"""Events that leave the live loop: broker, web hook, files, clips, a sound. See events.py."""
