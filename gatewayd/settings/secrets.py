"""Files that hold secrets: who may read them, and what is in them. Owns the one way to read one.

Must not log or show a secret, nor the bytes of a file that should hold one.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from pydantic.fields import FieldInfo

MAX_SECRET_BYTES = 64 * 1024  # a certificate chain with its key is some 10 KB

# Names of keys whose values are never shown, wherever they stand.
SECRET_NAME = re.compile(r"password|passwd|secret|token|pin$|(?<!public_)key$", re.IGNORECASE)
_USER_INFO = re.compile(r"://[^/@\s'\"]*@")
_PASSWORD_IN_URL = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


class SecretFileError(ValueError):
    """A file of the settings is not as it must be; `hint` is what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        self.what = what
        self.hint = hint
        super().__init__(f"{what} ({hint})")


def is_secret_field(name: str, info: FieldInfo) -> bool:
    """Whether a path field names a file that only its owner may read."""
    extra = info.json_schema_extra
    marked = isinstance(extra, dict) and extra.get("secret_file") is True
    return marked or name.endswith(("password_file", "key_file"))


def check_file(path: Path) -> os.stat_result:
    """That the path is a file this user can read. Raises SecretFileError."""
    try:
        found = path.stat()
    except OSError as error:
        hint = "make it, or correct the path; relative ones start at the settings file"
        raise SecretFileError(f"{path} can't be used: {error.strerror}", hint) from error
    if not stat.S_ISREG(found.st_mode):
        raise SecretFileError(f"{path} is not a file", "name a file")
    if not os.access(path, os.R_OK):
        raise SecretFileError(
            f"{path} can't be read", f"give it to the user that runs this: {_user()}"
        )
    return found


def check_trusted_file(path: Path) -> None:
    """That nobody but its owner's group could have written it. Raises SecretFileError."""
    if check_file(path).st_mode & stat.S_IWOTH:
        raise SecretFileError(f"{path} can be changed by any user", f"run: chmod o-w {path}")


def check_secret_file(path: Path) -> None:
    """That only its owner may read it and that something is in it. Raises SecretFileError.

    A credential that systemd handed over is fine as it is: its folder is closed to others, while
    its own mode shows the mask of an access list.
    """
    found = check_file(path)
    if found.st_mode & 0o077 and not is_systemd_credential(path):
        mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
        raise SecretFileError(f"{path} can be read by others ({mode})", f"run: chmod 600 {path}")
    if found.st_size == 0:
        raise SecretFileError(f"{path} is empty", "write the secret into it")


def read_secret(path: Path) -> str:
    """The secret as text without the line end that editors add. Raises SecretFileError."""
    check_secret_file(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise SecretFileError(f"{path} can't be read: {error.strerror}", "see its owner") from error
    if len(raw) > MAX_SECRET_BYTES:
        raise SecretFileError(f"{path} is too large for a secret", "name the right file")
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        # Without the cause: its text would show bytes of the secret.
        raise SecretFileError(f"{path} is not UTF-8 text", "save it as UTF-8") from None


def redacted(text: str) -> str:
    """The text without the user names and passwords in its URLs."""
    return _USER_INFO.sub("://…@", text)


def has_password(text: str) -> bool:
    """Whether the text is a URL with a password in it."""
    return _PASSWORD_IN_URL.search(text) is not None


def is_systemd_credential(path: Path) -> bool:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.absolute().is_relative_to(folder)


def _user() -> str:
    return f"uid {os.geteuid()}"
