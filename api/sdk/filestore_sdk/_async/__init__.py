"""The client in both manners: `_async` is written by hand, `_sync` is made of it by `python -m filestore_sdk.unasync`."""
