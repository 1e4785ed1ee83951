"""The hot store of the tests of projects, for those on the record alone, too."""

from tests.sync.conftest import hot as hot
from tests.sync.conftest import nats_server as nats_server
