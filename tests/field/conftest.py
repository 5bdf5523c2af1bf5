"""The service in this process, as the tests of the API have it."""

from tests.api.conftest import app as app
