"""A module that needs what nobody has."""

import nobody_has_this  # type: ignore[import-not-found]  # noqa: F401
