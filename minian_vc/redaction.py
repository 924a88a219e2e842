"""Taking secrets out of text that is kept forever: passwords and tokens in URLs, and values under telling names."""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "names_a_secret", "redact"]

HIDDEN = "***"
_TELLING = r"passw(?:or)?d|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key|signature|credential"
_NAME = re.compile(rf"(?:.*[_.-])?(?:{_TELLING})s?", re.IGNORECASE)
_USER = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)(?P<user>[^\s/:@'\"]*)(?P<secret>:[^\s/'\"]*)?@", re.IGNORECASE
)
_QUERY = re.compile(rf"([?&;](?:[\w.-]{{0,40}}(?:{_TELLING})[\w.-]{{0,40}}|sig|key|auth)=)[^\s&#;'\"]+", re.IGNORECASE)
_LONG = 20  # a user name of that length is a token: https://ghp_…@github.com


def redact(text: str) -> str:
    """Return a text whose URLs keep scheme, user and host, but no password and no token.

    Examples
    --------
    >>> redact("postgresql://anna:hunter2@db/lab?token=abc&p=1")
    'postgresql://anna:***@db/lab?token=***&p=1'
    """
    return _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(_without_password, text))


def _without_password(match: re.Match[str]) -> str:
    user = HIDDEN if len(match["user"]) >= _LONG else match["user"]
    return f"{match['scheme']}{user}{f':{HIDDEN}' if match['secret'] else ''}@"


def names_a_secret(name: str) -> bool:
    """Tell whether a parameter of that name holds a secret: ``password``, ``db_password``, ``api_key``."""
    return _NAME.fullmatch(name) is not None
