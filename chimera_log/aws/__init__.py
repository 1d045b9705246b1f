"""
What every service of AWS has in common: a session, errors, when to try again.

- `access` is whom to talk to, and as whom: options, checked.
- `session` makes a client of boto3's, and is the only module that knows it.
- `retry` says what an error means, and when to try again.
"""
