"""The visible steps on a disk: look, act, look again."""
