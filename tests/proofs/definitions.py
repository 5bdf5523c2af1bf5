"""What a function uses of this repository, found in the source: a digest that changes when its behaviour may.

It is over definitions (functions, classes, values of modules), wherever they stand. Comments, docstrings, formatting,
annotations of functions, and the module that a definition is in do not count: moving it changes nothing. Methods are
found through the classes that are named. What is only found at run time (`importlib`, migrations of the store, SQL in
a database) is not seen.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Definition = tuple[str, str]
"""A module and a name in it; the name is empty for the statements that run when the module is imported."""


@dataclass
class Module:
    """The top level of a source file.

    definitions: the statements that define each name. loose: statements that define none. imported: by local name, the
    module and the name in it that it stands for; the name is empty where it stands for the module itself.
    """

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    loose: list[ast.stmt] = field(default_factory=list)
    imported: dict[str, Definition] = field(default_factory=dict)

    def read(self, body: list[ast.stmt], package: str) -> None:
        for statement in body:
            match statement:
                case ast.Import() | ast.ImportFrom():
                    self.imported |= _imports(statement, package)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    self.definitions.setdefault(name, []).append(statement)
                case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    pass
                case ast.If() | ast.Try():
                    for part in ("body", "orelse", "finalbody"):
                        self.read(getattr(statement, part, []), package)
                case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                    names = [each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and _is_stored(each)]
                    for name in names:
                        self.definitions.setdefault(name, []).append(statement)
                    if not names:
                        self.loose.append(statement)
                case ast.Expr(value=ast.Constant()):
                    pass
                case _:
                    self.loose.append(statement)


class Sources:
    """The Python source below some folders. roots: by name of a top-level package, its folder."""

    def __init__(self, roots: dict[str, Path]) -> None:
        self._roots = roots
        self._modules: dict[str, Module | None] = {}
        self._uses: dict[Definition, frozenset[Definition]] = {}
        self._digests: dict[Definition, str] = {}

    def name_of(self, path: Path) -> str:
        """The dotted name of the module in a file. Raises ValueError for a file outside the folders."""
        for root, folder in self._roots.items():
            if path.is_relative_to(folder):
                parts = path.relative_to(folder).with_suffix("").parts
                return ".".join((root, *(part for part in parts if part != "__init__")))
        raise ValueError(f"{path} is not below {', '.join(map(str, self._roots.values()))}")

    def closure(self, start: Definition) -> set[Definition]:
        """Every definition that this one may use, and itself. Raises KeyError if there is no such definition."""
        if not self._nodes(start):
            raise KeyError(start)
        found, ahead = {start}, [start]
        while ahead:
            fresh = self._used_by(ahead.pop()) - found
            found |= fresh
            ahead += fresh
        return found

    def digest(self, start: Definition) -> str:
        """Of the text of all that it may use, without regard to where it stands."""
        digests = sorted({self._digest(each) for each in self.closure(start)})
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def _digest(self, definition: Definition) -> str:
        if definition not in self._digests:
            text = "".join(part for node in self._nodes(definition) for part in _text(node))
            self._digests[definition] = hashlib.sha256(text.encode()).hexdigest()
        return self._digests[definition]

    def _nodes(self, definition: Definition) -> list[ast.stmt]:
        name, inner = definition
        module = self._module(name)
        if module is None:
            return []
        return module.definitions.get(inner, []) if inner else module.loose

    def _used_by(self, definition: Definition) -> frozenset[Definition]:
        if definition not in self._uses:
            name, _ = definition
            module = self._module(name)
            assert module is not None
            found = {(name, "")}
            for node in self._nodes(definition):
                found |= self._named_in(node, name, module)
            self._uses[definition] = frozenset(found)
        return self._uses[definition]

    def _named_in(self, node: ast.stmt, name: str, module: Module) -> set[Definition]:
        imported = dict(module.imported)
        for each in ast.walk(node):
            if isinstance(each, ast.Import | ast.ImportFrom):
                imported |= _imports(each, self._package(name))
        found: set[Definition] = set()
        for chain in _chains(node):
            first, *rest = chain
            if first in imported:
                found |= self._resolved(imported[first], rest)
            elif first in module.definitions:
                found.add((name, first))
        return found

    def _resolved(self, target: Definition, rest: list[str]) -> set[Definition]:
        """What `target.rest…` stands for: a definition, or all of a module that is used as a whole."""
        name, inner = target
        module = self._module(name)
        if module is None:
            return set()
        if not inner:
            if rest:
                return self._resolved((name, rest[0]), rest[1:])
            return {(name, ""), *((name, each) for each in module.definitions)}
        if inner in module.definitions:
            return {target}
        if module.imported.get(inner, target) != target:
            return {(name, ""), *self._resolved(module.imported[inner], rest)}
        return self._resolved((f"{name}.{inner}", ""), rest)

    def _package(self, name: str) -> str:
        found = self._path(name)
        return name if found is not None and found.name == "__init__.py" else name.rpartition(".")[0]

    def _path(self, name: str) -> Path | None:
        root, *parts = name.split(".")
        if root not in self._roots:
            return None
        place = self._roots[root].joinpath(*parts)
        candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
        return next((each for each in candidates if each.is_file()), None)

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            path = self._path(name)
            module = None
            if path is not None:
                module = Module()
                module.read(ast.parse(path.read_bytes()).body, self._package(name))
            self._modules[name] = module
        return self._modules[name]


def _imports(statement: ast.Import | ast.ImportFrom, package: str) -> dict[str, Definition]:
    if isinstance(statement, ast.Import):
        return {
            each.asname or each.name.partition(".")[0]: (each.name if each.asname else each.name.partition(".")[0], "")
            for each in statement.names
        }
    base = statement.module or ""
    if statement.level:
        above = package.split(".")[: len(package.split(".")) - statement.level + 1]
        base = ".".join([*above, *([statement.module] if statement.module else [])])
    return {each.asname or each.name: (base, each.name) for each in statement.names}


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _chains(node: ast.AST) -> Iterator[list[str]]:
    """The names that are read, each with the attributes that are taken of it: `a.b.c` is [a, b, c]."""
    inner, attributes = node, []
    while isinstance(inner, ast.Attribute):
        attributes.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield [inner.id, *reversed(attributes)]
        return
    for child in _children(inner):
        if isinstance(child, ast.AST):
            yield from _chains(child)


def _children(node: ast.AST) -> Iterator[object]:
    for _, value in _fields(node):
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """What a node is made of, without what does not change what it does, and in the same way in every Python."""
    for name, value in ast.iter_fields(node):
        match node, name:
            case (_, "ctx" | "kind" | "type_comment" | "returns"):
                continue
            case (ast.arg(), "annotation"):
                continue
            case (ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef(), "body"):
                yield name, [each for each in value if not _is_docstring(each)]
            case _:
                yield name, value


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _text(node: object) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        yield f"import({','.join(each.name for each in node.names)})"
    elif isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in _fields(node):
            if value is not None and value != []:
                yield f"{name}="
                yield from _text(value)
        yield ")"
    elif isinstance(node, list):
        for each in node:
            yield from _text(each)
            yield ","
    else:
        yield repr(node)
