"""The keys of secrets in tests that start no process."""

from schema.secrets.keyring import Keyring
from schema.secrets.references import ReferencesAllowed

KEY = f"test:{'A' * 43}="
KEYS = Keyring(KEY, None, ReferencesAllowed(["FILESTORE_SECRET_*"]))
