"""Short ways to write a repository and to read what is wrong with it."""

import pytest

from environments.manifest import DictSource, Manifest, ManifestError, Problem, load

APP = "name: app\ntype: 'python:3.11'\n"


def app(more: str = "", *, head: str = APP, **files: str | bytes) -> Manifest:
    """The manifest of a repository with one app; `services` and `routes` are its other files."""
    return load(source(more, head=head, **files))


def source(more: str | bytes = "", *, head: str = APP, **files: str | bytes) -> DictSource:
    text = more if isinstance(more, bytes) else (head + more).encode()
    named = {f".platform/{name}.yaml": content for name, content in files.items()}
    return DictSource({".platform.app.yaml": text, **named})


def refused(repository: DictSource) -> tuple[Problem, ...]:
    with pytest.raises(ManifestError) as caught:
        load(repository)
    return caught.value.problems


def problem(more: str | bytes = "", *, head: str = APP, **files: str | bytes) -> Problem:
    """The only thing that is wrong."""
    problems = refused(source(more, head=head, **files))
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]
