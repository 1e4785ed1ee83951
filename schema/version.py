"""Which Filestore this is. A module of its own: a process that serves no routes need not load them to say it."""

VERSION = "0.1.0"
