"""What the tests of the store share."""

from tests.support.postgres import postgres

__all__ = ["postgres"]
