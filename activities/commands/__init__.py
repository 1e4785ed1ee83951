"""The steps of a list of commands: `begin`, `stage`, `apply`, `commit`, `finish`, and `compensate` where all or none go."""
