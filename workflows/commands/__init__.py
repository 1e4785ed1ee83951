"""Lists of commands: run, and resumed."""
