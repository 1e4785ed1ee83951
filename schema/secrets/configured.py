"""The keys of secrets, as the settings of a process name them."""

from schema.secrets.keyring import Keyring
from schema.secrets.references import ReferencesAllowed
from schema.settings import Settings


def keyring_of(settings: Settings) -> Keyring:
    allowed = ReferencesAllowed(settings.variables_of_secrets, settings.folders_of_secrets)
    return Keyring(settings.secrets_keys, settings.secrets_keys_path, allowed)
