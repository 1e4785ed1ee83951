"""The parts of a node agent: its folder, its watch, its state, its link to the service."""
