"""A module that fails when it is asked for anything."""


def __getattr__(_: str) -> object:
    raise RuntimeError("out of order")
