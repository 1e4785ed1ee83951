"""How Filestore is run: `dev.py` brings up the development stack, `demo.py` shows the service at work on real files."""
