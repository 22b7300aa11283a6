"""The exception tree: drawn as it is, and one stable code a class."""

import re

import pytest

from model import errors
from model.errors import SianError

_LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +(?P<note>.+))?$")


def classes(root: type[SianError] = SianError) -> list[type[SianError]]:
    """The tree below and with ``root``, in the order of definition, depth first."""
    return [root] + [found for child in root.__subclasses__() for found in classes(child)]


def drawn() -> list[tuple[str, int, str]]:
    """(class name, depth, note) of each line of the drawing."""
    found = []
    for line in (errors.__doc__ or "").splitlines():
        if match := _LINE.match(line):
            depth = len(match["indent"]) // 4
            if depth or match["name"] == "SianError":
                found.append((match["name"], depth, match["note"] or ""))
    return found


def test_the_drawing_is_the_tree() -> None:
    tree = [
        (cls.__name__, len([base for base in cls.__mro__ if issubclass(base, SianError)]) - 1)
        for cls in classes()
        if cls.__module__ == errors.__name__
    ]
    assert [(name, depth) for name, depth, _ in drawn()] == tree
    assert len(tree) > 30


def test_the_drawing_names_the_codes() -> None:
    notes = {name: note for name, _, note in drawn()}
    for cls in classes():
        is_leaf = not cls.__subclasses__()
        if is_leaf:
            assert notes[cls.__name__] == cls.code


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_a_class_has_a_code_of_its_own_named_after_it(cls: type[SianError]) -> None:
    snake_case = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
    assert vars(cls)["code"] == snake_case


def test_every_exception_class_of_the_module_is_in_the_tree() -> None:
    defined = {value for value in vars(errors).values() if isinstance(value, type)}
    assert {cls for cls in defined if issubclass(cls, Exception)} == set(classes())
