# SPDX-License-Identifier: Apache-2.0
"""TOML as people and attackers write it: a document, or one error that says what is wrong."""

from __future__ import annotations

from pykexec.errors import FormatError

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def parse_toml(data: bytes) -> dict[str, object]:
    """The document, before which a byte order mark may stand; FormatError for what is none."""
    import tomllib

    if data.startswith(_UTF16_MARKS):
        raise FormatError("not TOML: UTF-16; it must be saved as UTF-8")
    try:
        return tomllib.loads(data.removeprefix(_UTF8_MARK).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FormatError(f"not TOML: {error}") from None
    except RecursionError:
        raise FormatError("not TOML: nested too deeply") from None
    except ValueError:
        # What Python's int() says of more than 4300 digits is for programmers.
        raise FormatError("not TOML: a number of too many digits") from None
