"""What is done at leisure on a mount: `sweep`."""
