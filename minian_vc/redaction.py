"""Taking secrets out of text that is kept forever: passwords and tokens in URLs, and values under telling names."""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "names_a_secret", "redact"]

HIDDEN = "***"
_KEY = r"(?:api|access|secret|private|auth|ssh|encryption|signing|account)[_.-]?key"  # a key alone may sort or look up
_TELLING = rf"passw(?:or)?d|passphrase|pwd|token|secret|{_KEY}|signature|credential|authorization"
_NO_NAME = re.compile(r"[^\w\s./:-]")
_BETWEEN_WORDS = re.compile(r"\W+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NAME = re.compile(rf"(?:{_TELLING})s?(?![a-z])|(?<![a-z])(?:user|db|smtp|ftp|mail)_?pass(?![a-z])|^pass$")
_MEASURE = re.compile(r"^(?:n|num|min|max)_|_(?:size|length|len|count|level|limit|number|min|max|dim|index)s?$")
_USER = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)(?!\[)(?P<user>[^\s/:@'\"]*)"
    r"(?P<secret>:[^\s/'\"]*(?=@)|:(?!\d+/)[^\s'\"]{0,200}(?=@))?@",  # one with a slash, where that is no port
    re.IGNORECASE,
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
    """Tell whether what lies below a parameter of that name is a secret: ``accessToken``, ``db_password_prod``.

    The telling word may stand anywhere in the name, in any case and in the plural. The size or number of it is none
    (``token_size``), and a ``key`` is one only with a word such as ``api`` or ``private`` before it.
    """
    if _NO_NAME.search(name):
        return False
    words = _BETWEEN_WORDS.sub("_", name).lower()
    return _NAME.search(words) is not None and _MEASURE.search(words) is None
