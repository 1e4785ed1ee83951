"""The parts of `deploy/demo.py`: what to put in, how to talk to the service, how to show what came of it."""
