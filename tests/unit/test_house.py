"""The house rules that a machine can check: import directions, public names, forbidden text."""

import ast
import re
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sqlite-engine/lamdb"

# Each part may import the parts named here, itself, and nothing else of lamdb.
FOUNDATION = {"counting", "errors", "lru", "memory", "settings"}
DATA = FOUNDATION | {"storage", "search", "rules", "changes"}
SERVICES = DATA | {"prisma", "access", "graphql", "deployment", "hrana", "operator"}
MAY_IMPORT = {
    "counting": set(),
    "errors": set(),
    "names": set(),
    "setting": {"names"},
    "lru": set(),
    "memory": {"setting"},
    "settings": {"errors", "memory", "names", "setting"},
    "storage": FOUNDATION,
    "search": FOUNDATION | {"storage"},
    "rules": FOUNDATION | {"storage", "search"},
    "changes": FOUNDATION | {"storage", "search"},
    "access": FOUNDATION | {"storage", "rules"},
    "prisma": DATA,
    "graphql": DATA | {"prisma"},
    "deployment": DATA | {"prisma", "graphql"},
    "hrana": DATA | {"access", "prisma", "graphql", "deployment"},
    "operator": DATA | {"prisma", "graphql", "deployment"},
    "records": DATA | {"prisma"},
    "cluster": SERVICES,
    "server": SERVICES,
    "testing": SERVICES | {"server"},
    "cost": {"errors"},
    "samlocal": SERVICES | {"cluster", "server"},
    "cli": SERVICES | {"cluster", "cost", "records", "server"},
}

# Within a part, each package may import those before it and the part's own modules.
LAYERS = {
    "storage": ("stores", "cache", "ltx", "maintenance", "backup"),
    "prisma": ("wasm", "sqlite", "datamodel", "query", "migrate", "introspection"),
    "graphql": ("schema", "document", "execution", "transport"),
    "hrana": ("statements", "protocol", "transaction", "streams"),
    "cluster": ("aws", "runtime", "invocation", "routing", "sources", "publishing"),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(module: Path) -> set[str]:
    """The parts of lamdb that a module imports, wherever in the module it does so."""
    package = ["lamdb", *module.relative_to(PACKAGE).parts[:-1]]
    names = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, node.module] if node.module else base)
            names += [stem] if stem.count(".") else [f"{stem}.{alias.name}" for alias in node.names]
    return {
        name.split(".")[1] for name in names if name.startswith("lamdb.") and not name.startswith("lamdb.__")
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_run_one_way(module: Path) -> None:
    part = part_of(module)
    if part in ("__init__", "__main__"):
        return
    assert imported_parts(module) - {part} <= MAY_IMPORT[part]


def dotted(module: Path) -> str:
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(module): module for module in MODULES}


def imported_modules(module: Path) -> set[str]:
    """The modules of lamdb that a module imports, wherever in the module it does so."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            full = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else node.module for name in full.values()}
    return {name for name in found if name in NAMES} - {dotted(module)}


@pytest.mark.parametrize("part", LAYERS)
def test_packages_of_a_part_are_layers(part: str) -> None:
    layers = LAYERS[part]
    assert {folder.name for folder in (PACKAGE / part).iterdir() if (folder / "__init__.py").exists()} == {
        *layers
    }
    upwards = []
    for name, module in NAMES.items():
        of, _, layer = name.removeprefix("lamdb.").partition(".")
        layer = layer.partition(".")[0]
        if of != part or layer not in layers:
            continue
        for imported in imported_modules(module):
            of, _, below = imported.removeprefix("lamdb.").partition(".")
            below = below.partition(".")[0]
            if of == part and below in layers and layers.index(below) > layers.index(layer):
                upwards.append((name, imported))
    assert upwards == []


def test_no_modules_import_each_other() -> None:
    """Not even for types alone, or inside functions."""
    sorter = TopologicalSorter({name: imported_modules(module) for name, module in NAMES.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_every_module_says_what_it_holds(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text()))
    assert docstring is not None
    assert len(docstring) > 10, "the module's docstring says too little"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_modules_stay_small(module: Path) -> None:
    """A module should hold one thing, in some 300 lines; more than 600 hold several."""
    assert len(module.read_text().splitlines()) <= 600


def test_each_public_class_has_a_name_of_its_own() -> None:
    """A search for a name finds one class, and a reader of an import need not look where it comes from."""
    found: dict[str, list[str]] = {}
    for module in MODULES:
        for statement in ast.parse(module.read_text()).body:
            if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_"):
                found.setdefault(statement.name, []).append(str(module.relative_to(PACKAGE)))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name]


# Written in pieces so that this file does not say them itself.
FORBIDDEN = re.compile(
    r"pypi\." + r"org|python" + r"hosted|registry\.npm" + r"js|deb\.debian" + r"\.org"
    r"|(?<![\w.-])/(?:work|farm|root)/"
)


def test_no_file_names_a_registry_or_a_path_of_a_machine() -> None:
    guilty = []
    for path in tracked_files():
        if path.suffix in {".png", ".ico", ".gz", ".woff2"} or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if FORBIDDEN.search(line):
                guilty.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert guilty == []
