"""Turns what went wrong between here and the Hub into sentences. Knows HTTP and the Hub's error codes, and no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import UserError, explain, in_short
from engine.hub_files import asked_pause

if TYPE_CHECKING:
    import httpx2

_LATER = "Try again later; what arrived is kept."
_SIGN_IN = "Make an access token at {endpoint}/settings/tokens and set it as HF_TOKEN, or run: hf auth login"

_BAD_ID = ("{repo_id} is not a Hugging Face model id.", "{reason}", "An id reads like Qwen/Qwen2.5-0.5B-Instruct.")
_OFFLINE = (
    "{repo_id} cannot be downloaded.",
    "Hugging Face is switched off by the environment variable HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE).",
    "Remove the variable, start the program again and try once more.",
)
_BAD_TOKEN = ("Hugging Face does not accept your access token.", "It is mistyped, expired or revoked.", _SIGN_IN)
_GATED = (
    "{repo_id} is open only to people whom its owners let in.",
    "Your account has no access to it yet, or no access token is set.",
    f"Ask for access at {{endpoint}}/{{repo_id}} in a browser. {_SIGN_IN}",
)
_FORBIDDEN = ("Your access token may not read {repo_id}.", "Hugging Face answered: {reason}", _SIGN_IN)
_NO_REPOSITORY = (
    "{repo_id} was not found on Hugging Face.",
    "There is no model of this name, or it is private and your access token may not see it.",
    f"Check the spelling. For a private model: {_SIGN_IN}",
)
_NO_REVISION = (
    "{repo_id} has no revision {revision}.",
    "There is no branch, tag or commit of this name.",
    "Choose one that {endpoint}/{repo_id}/tree/main offers, or leave the revision out.",
)
_BUSY = ("Hugging Face asks you to wait with {repo_id}.", "There were too many requests from you.", "{again}")
_TROUBLE = (
    "Hugging Face cannot deliver {repo_id} at the moment.",
    "It reports a fault of its own: {reason}",
    "{again}",
)
_REFUSED = ("Hugging Face refuses to deliver {repo_id}.", "It answered: {reason}", _LATER)
_NO_ANSWER = ("{endpoint} does not answer.", "The connection is slow or interrupted, or the server is busy.", _LATER)
_NO_CONNECTION = (
    "{endpoint} cannot be reached.",
    "{reason}",
    "Check the connection to the internet, a proxy or HF_ENDPOINT, and try again; what was fetched is kept.",
)
_CUT = ("The connection broke while {repo_id} was fetched.", "Several attempts failed. The last: {reason}", _LATER)
_NOT_THE_HUB = (
    "{endpoint} does not answer as Hugging Face does.",
    "A network that asks you to sign in first, a proxy, or a wrong HF_ENDPOINT may be in between.",
    "Open {endpoint} in a browser and see what comes.",
)

_NO_TOKEN = (
    "You are not signed in to Hugging Face.",
    "An upload needs an access token that may write, and none is stored on this computer.",
    "Make one (kind: write) at {endpoint}/settings/tokens, then run: hf auth login",
)
_MAY_NOT_WRITE = (
    "Your account may not upload to {repo_id}.",
    "Hugging Face answered: {reason}",
    "Choose a name of your own account; at {endpoint}/settings/tokens, see that the token may write (kind: write).",
)
_TOO_LARGE = (
    "Hugging Face finds {repo_id} too large.",
    "It answered: {reason}",
    "Free storage in your account's settings, or upload a more strongly quantised model.",
)
_CHANGED = (
    "{repo_id} was changed by someone else meanwhile.",
    "Hugging Face answered: {reason}",
    "Try again; what was sent is kept.",
)
_NOT_TAKEN = (
    "Hugging Face did not take {repo_id}.",
    "It answered: {reason}",
    "Try again later; files that arrived are not sent again.",
)
_UPLOAD_OFFLINE = (_OFFLINE[0].replace("downloaded", "uploaded"), *_OFFLINE[1:])

_BY_CODE = {"GatedRepo": _GATED, "RevisionNotFound": _NO_REVISION, "RepoNotFound": _NO_REPOSITORY}
_BY_STATUS = {401: _NO_REPOSITORY, 403: _FORBIDDEN, 404: _NO_REPOSITORY, 429: _BUSY}


def in_words(error: Exception, repo_id: str, revision: str) -> UserError:
    """The sentences for an exception that came up while `repo_id` was fetched."""
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    values = {"repo_id": repo_id, "revision": revision, "endpoint": constants.ENDPOINT, "reason": reason}
    if isinstance(error, httpx2.HTTPStatusError):
        return _refusal(error.response, values)
    kinds: tuple[tuple[Any, tuple[str, str, str]], ...] = (
        (HFValidationError, _BAD_ID),
        (OfflineModeIsEnabled, _OFFLINE),
        (httpx2.TimeoutException, _NO_ANSWER),
        ((httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError), _CUT),
        ((httpx2.TransportError, httpx2.InvalidURL), _NO_CONNECTION),
        (httpx2.HTTPError, _NOT_THE_HUB),
    )
    sentences = next((sentences for kind, sentences in kinds if isinstance(error, kind)), None)
    return _words(sentences, values) if sentences else explain(error)


def of_upload(error: Exception, repo_id: str) -> UserError:
    """The sentences for an exception that came up while `repo_id` was sent."""
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    if isinstance(error, UserError):
        return error
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # the client wraps what happened to a file
    reason = in_short(error)
    values = {"repo_id": repo_id, "endpoint": constants.ENDPOINT, "reason": reason}
    response = getattr(error, "response", None)
    if response is not None:
        return _upload_refusal(response, values)
    kinds: tuple[tuple[Any, tuple[str, str, str]], ...] = (
        (HFValidationError, _BAD_ID),
        (OfflineModeIsEnabled, _UPLOAD_OFFLINE),
        (httpx2.TimeoutException, _NO_ANSWER),
        ((httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError), _NOT_TAKEN),
        ((httpx2.TransportError, httpx2.InvalidURL), _NO_CONNECTION),
        (httpx2.HTTPError, _NOT_THE_HUB),
        ((ValueError, KeyError, TypeError), _NOT_TAKEN),  # what came is not what the client knows
    )
    sentences = next((sentences for kind, sentences in kinds if isinstance(error, kind)), None)
    return _words(sentences, values) if sentences else explain(error)


def no_token() -> UserError:
    """Nobody is signed in."""
    from huggingface_hub import constants

    return _words(_NO_TOKEN, {"endpoint": constants.ENDPOINT})


def bad_token() -> UserError:
    """The access token cannot even be sent."""
    from huggingface_hub import constants

    return _words(_BAD_TOKEN, {"endpoint": constants.ENDPOINT})


def not_the_hub() -> UserError:
    """What answered is no Hub."""
    from huggingface_hub import constants

    return _words(_NOT_THE_HUB, {"endpoint": constants.ENDPOINT})


def _refusal(response: httpx2.Response, values: dict[str, Any]) -> UserError:
    """What an answer without success means. The Hub's own code counts first: one status has many causes."""
    status = response.status_code
    code, message = (response.headers.get(f"X-Error-{part}", "") for part in ("Code", "Message"))
    if status == 401 and message.startswith("Invalid credentials"):
        sentences = _BAD_TOKEN
    else:
        sentences = _BY_CODE.get(code) or _BY_STATUS.get(status) or (_TROUBLE if status >= 500 else _REFUSED)
    seconds = asked_pause(response)
    again = f"Try again in {seconds} seconds; what was fetched is kept." if seconds else _LATER
    return _words(sentences, values | {"reason": f"HTTP {status} {message or response.reason_phrase}", "again": again})


def _upload_refusal(response: httpx2.Response, values: dict[str, Any]) -> UserError:
    """What an answer without success means for an upload."""
    status, message = response.status_code, response.headers.get("X-Error-Message", "")
    sentences = {
        401: _BAD_TOKEN,
        402: _TOO_LARGE,
        403: _TOO_LARGE if "storage" in message.lower() else _MAY_NOT_WRITE,
        404: _MAY_NOT_WRITE,
        409: _CHANGED,
        412: _CHANGED,
        413: _TOO_LARGE,
        429: _BUSY,
    }.get(status, _NOT_TAKEN)
    seconds = asked_pause(response)
    again = f"Try again in {seconds} seconds." if seconds else _LATER
    return _words(sentences, values | {"reason": f"HTTP {status} {message or response.reason_phrase}", "again": again})


def _words(sentences: tuple[str, str, str], values: dict[str, Any]) -> UserError:
    return UserError(*sentences, **values)
