"""What errors of `huggingface_hub` mean to a user. No word of the server is repeated: it might repeat the token."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from selfinstruct.errors import BadInputError, SelfInstructError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGIN = "`hf auth login`, or HF_TOKEN with a token that may do this"


@contextmanager
def told() -> Iterator[None]:
    """Turn what the client library raises into errors of ours.

    Raises:
        BadInputError: the token, or the repository. UnreachableError: the Hub does not answer, or not well.
    """
    from huggingface_hub import errors  # noqa: PLC0415 - half a second

    try:
        yield
    except (SelfInstructError, FileNotFoundError, KeyboardInterrupt):
        raise
    except Exception as error:
        status = _status(error)
        if status is None and not _of_the_network(error):
            raise
        if status == 401:  # noqa: PLR2004 - RFC 9110
            msg = "the Hub does not know who you are (401): no token, or one that is not valid; or there is no such repository"
            raise BadInputError(msg, remedy=LOGIN) from None
        if status == 403:  # noqa: PLR2004 - RFC 9110
            raise BadInputError("the Hub does not let this token do that (403)", remedy=LOGIN) from None
        if isinstance(error, errors.HfHubHTTPError) and status is not None and 400 <= status < 500 and status != 429:  # noqa: PLR2004 - RFC 9110
            msg = f"the Hub refuses: {type(error).__name__} ({status})"
            raise BadInputError(
                msg, remedy="is the name of the repository right? `selfinstruct -v` shows the call"
            ) from None
        msg = f"the Hub does not answer{f' well ({status})' if status else ''}"
        raise UnreachableError(msg, remedy="the same command goes on from there") from None


def _status(error: BaseException | None) -> int | None:
    """Return the status of the answer behind an error; the library wraps some of them."""
    while error is not None:
        if (answer := getattr(error, "response", None)) is not None:
            return int(answer.status_code)
        error = error.__cause__
    return None


def _of_the_network(error: BaseException | None) -> bool:
    """Say whether no answer came, whatever it is wrapped in; the HTTP client is another one from version to version."""
    while error is not None:
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in {"httpx", "httpx2", "httpcore"}:
            return True
        error = error.__cause__
    return False
