"""Branch names and what is made of them: environment ids, machine names, host names."""

import hashlib
import re

from portal.errors import Invalid

MAX_BRANCH_BYTES = 200
_LABEL_MAX = 63  # one DNS label
_HASH_LENGTH = 7
_PROJECT_ID_LENGTH = 13
_SLUG_MAX = _LABEL_MAX - _PROJECT_ID_LENGTH - _HASH_LENGTH - 2

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_GENERATED = re.compile(rf"-[a-z0-9]{{{_HASH_LENGTH}}}-[a-z][a-z0-9]{{{_PROJECT_ID_LENGTH - 1}}}\Z")  # see `host`
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+#=@-]*\Z")


def check_branch(name: str) -> str:
    """The name, when Git (git-check-ref-format) and Slipway accept it as a branch; else Invalid with the broken rule.

    Stricter than Git: only ASCII letters, digits and `. _ / + # = @ -`, beginning with a letter or digit, so that no
    name reads as an option, hides a character, or differs from another only by looks.
    """

    def refuse(reason: str) -> Invalid:
        return Invalid(f"{name[:60]!r} cannot be a branch name: {reason}.", field="branch")

    if not name:
        raise Invalid("Give the branch a name.", field="branch")
    if len(name.encode("utf-8", "surrogateescape")) > MAX_BRANCH_BYTES:
        raise refuse(f"it is longer than {MAX_BRANCH_BYTES} bytes")
    if name.startswith("-"):
        raise refuse("it begins with a dash")
    if name.upper() == "HEAD" or name.startswith("refs/"):
        raise refuse("Git uses that name itself")
    if _FORBIDDEN.search(name):
        raise refuse(
            'Git allows no space, control character, "~", "^", ":", "?", "*", "[", "\\", "..", "@{" or "//" in it'
        )
    if name.endswith(("/", ".", ".lock")) or any(
        part.startswith(".") or part.endswith(".lock") for part in name.split("/")
    ):
        raise refuse('no part of it may begin with "." or end with ".lock", and it may not end with "/" or "."')
    if not _ALLOWED.match(name):
        raise refuse("use ASCII letters, digits and . _ / + # = @ - only, beginning with a letter or digit")
    return name


def is_branch(name: str) -> bool:
    try:
        check_branch(name)
    except Invalid:
        return False
    return True


def environment_id(branch: str) -> str:
    """The environment's id: lower case, "/" and spaces become "-". Made once and stored; unique in its project."""
    return re.sub(r"[/\s]+", "-", branch.strip().lower())


def machine_name(environment_id: str, project_id: str) -> str:
    """A DNS-safe name that stays the same for this id in this project: slug, dash, 7 characters of hash.

    With the project's id behind it, it still fits one DNS label.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", environment_id).strip("-")[:_SLUG_MAX].strip("-") or "env"
    digest = hashlib.sha256(f"{project_id}/{environment_id}".encode()).digest()
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    return slug + "-" + "".join(alphabet[byte % 36] for byte in digest[:_HASH_LENGTH])


def host(machine: str, project_id: str, base_domain: str) -> str:
    return f"{machine}-{project_id}.{base_domain}"


def is_reserved(host: str, base_domain: str) -> bool:
    """Whether the host is the portal's, or one that an environment gets or could get, or lies below such a one."""
    if host == base_domain:
        return True
    label = host.removesuffix(f".{base_domain}").rpartition(".")[2]
    return host.endswith(f".{base_domain}") and _GENERATED.search(label) is not None
