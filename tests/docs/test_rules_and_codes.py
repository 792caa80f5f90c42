"""Every rule id that is cited and every code that is emitted can be looked up, and nothing else."""

import ast
import json
import re
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from nitro_attest import errors

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SOURCES = ROOT / "src" / "nitro_attest"
RULES = DOCS / "reference" / "rules.md"
CODES = DOCS / "reference" / "codes.md"
GLOSSARY = DOCS / "reference" / "glossary.md"

CITING = ("src", "csrc", "tests", "fuzz", "proofs", "tools", "docs")
TEXT = {".py", ".pyi", ".c", ".h", ".md", ".json", ".sh", ".dict", ""}

# One or two digits: P-256 and its like are curves. A fault id such as X-10.leaf-expired cites X-10.
RULE = re.compile(r"(?<![\w-])[A-Z]-[0-9]{1,2}(?!\w)")
RANGE = re.compile(r"(?<![\w-])([A-Z])-([0-9]{1,2})\s+to[\s#*/]+\1-([0-9]{1,2})(?!\w)")
CODE = re.compile(r"[a-z]+\.[a-z][a-z0-9_]*")
FILE_NAME = re.compile(r".*\.(?:bin|eif|html|json|md|pem|py|txt)")
QUOTED_CODE = re.compile(rf"`({CODE.pattern})`")

# Codes that an f-string builds: its pattern, and what its gap is filled with.
BUILT = {
    "policy.{}": ("nonce", "user_data", "public_key"),
    "keypolicy.{}": ("not_action", "not_principal"),
    "{}.truncated": ("eif", "pe"),
    "{}.too_large": ("eif", "pe"),
}


# Markdown


def table_lines(page):
    """The lines of each table, one list a table, with the line number of its first one."""
    lines = page.read_text(encoding="utf-8").split("\n")
    fenced = False
    numbered = []
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        numbered.append((number, line, not fenced and line.startswith("|")))
    for in_table, group in groupby(numbered, key=lambda item: item[2]):
        if in_table:
            found = list(group)
            yield found[0][0], [line for _, line, _ in found]


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def rows_by_section(page):
    """The rows of each second-level section, without headers: a list of cells for each row."""
    sections = {}
    heading = ""
    for line in page.read_text(encoding="utf-8").split("\n"):
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("|"):
            sections.setdefault(heading, []).append(cells(line))
    return sections


@cache
def rule_rows():
    """The cells of each rule's row, by id."""
    rows = [row for section in rows_by_section(RULES).values() for row in section]
    found = [row for row in rows if RULE.fullmatch(row[0])]
    by_id = {row[0]: row for row in found}
    assert len(by_id) == len(found), "a rule has two rows"
    return by_id


@cache
def code_sections():
    """For each section of codes.md that lists codes: the cells of each row, by code."""
    sections = {}
    for heading, rows in rows_by_section(CODES).items():
        listed = [(QUOTED_CODE.fullmatch(row[0]), row) for row in rows]
        by_code = {match[1]: row for match, row in listed if match}
        assert len(by_code) == sum(bool(match) for match, _ in listed), f"twice in {heading}"
        if by_code:
            sections[heading] = by_code
    return sections


def documented_codes():
    return {code for section in code_sections().values() for code in section}


@cache
def documented_families():
    """Returns the exception class of each family of codes; "" for a family without one."""
    families = {}
    for row in rows_by_section(CODES)[""]:
        owner = re.match(r"\[(\w+Error)\]", row[1])
        for family in re.findall(r"`([a-z]+)\.`", row[0]):
            families[family] = owner[1] if owner else ""
    return families


@pytest.mark.parametrize(
    "page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS))
)
def test_tables_are_well_formed(page):
    for number, lines in table_lines(page):
        where = f"{page.name}, line {number}"
        assert all(line.rstrip().endswith("|") for line in lines), f"{where}: a row without its end"
        assert len(lines) > 1, f"{where}: a detached row"
        assert re.fullmatch(r"(\|\s*:?-+:?\s*)+\|", lines[1].strip()), f"{where}: no header"
        widths = {len(cells(line)) for line in lines}
        assert len(widths) == 1, f"{where}: rows of {sorted(widths)} columns"


# Rules


def rules_in(text):
    cited = set(RULE.findall(text))
    for family, first, last in RANGE.findall(text):
        cited |= {f"{family}-{number}" for number in range(int(first), int(last) + 1)}
    return cited


@cache
def citations():
    """The files that cite each rule, as paths relative to the project."""
    files = [path for folder in CITING for path in (ROOT / folder).rglob("*")]
    cited = {}
    for path in files + sorted(ROOT.glob("*.md")):
        if not path.is_file() or path.suffix not in TEXT or path == Path(__file__).resolve():
            continue
        for rule in rules_in(path.read_text(encoding="utf-8", errors="replace")):
            cited.setdefault(rule, set()).add(str(path.relative_to(ROOT)))
    return cited


def in_order(rules):
    return sorted(rules, key=lambda rule: (rule[0], int(rule[2:])))


def test_every_cited_rule_has_a_row():
    missing = in_order(citations().keys() - rule_rows().keys())
    assert not {rule: sorted(citations()[rule]) for rule in missing}


def test_every_rule_of_a_conformance_vector_has_a_row():
    for path in sorted((ROOT / "fixtures" / "vectors" / "conformance").glob("*.json")):
        for case in json.loads(path.read_text()).get("cases", []):
            assert set(case["rules"]) <= rule_rows().keys() | {"policy"}, case["id"]


def test_every_row_is_cited_elsewhere():
    pages = {str(page.relative_to(ROOT)) for page in (RULES, CODES)}
    assert not [rule for rule in rule_rows() if not citations().get(rule, set()) - pages]


def test_rules_are_in_order():
    for section in rows_by_section(RULES).values():
        ids = [row[0] for row in section if RULE.fullmatch(row[0])]
        assert ids == in_order(ids)
        assert len({rule[0] for rule in ids}) <= 1


# Codes


def family(code):
    return code.partition(".")[0]


def coded_classes():
    """The names of the classes whose first argument is a code."""
    own = {name for name, item in vars(errors).items() if isinstance(item, type)}
    return {name for name in own if getattr(errors, name).__module__ == errors.__name__}


def constants(tree):
    """Each string constant of a module that is no docstring, with the node that it is part of."""
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            text = isinstance(child, ast.Constant) and isinstance(child.value, str)
            if text and not isinstance(parent, ast.Expr):
                yield child, parent


def called(node):
    """The name of what is called, without the modules before it."""
    if not isinstance(node, ast.Call):
        return None
    return getattr(node.func, "attr", None) or getattr(node.func, "id", None)


def names_a_module(code):
    """True of the keys in the tables of public names, which are relative to their package."""
    places = [package.joinpath(*code.split(".")) for package in (SOURCES, *SOURCES.glob("*/"))]
    return any(place.is_dir() or place.with_suffix(".py").is_file() for place in places)


def is_only_looked_up(constant, parent):
    """A key, a member of a set or one side of a comparison emits nothing."""
    if isinstance(parent, ast.Dict):
        return any(constant is key for key in parent.keys)
    return isinstance(parent, (ast.Set, ast.Compare, ast.MatchValue))


def pattern_of(joined):
    """An f-string with {} for each of its gaps."""
    parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in joined.values]
    return "".join(parts)


@cache
def sources():
    """The syntax trees of the package but for nitro_attest.testing, which expects codes."""
    paths = [path for path in SOURCES.rglob("*.py") if "testing" not in path.parts]
    return [ast.parse(path.read_text(encoding="utf-8")) for path in paths]


@cache
def python_codes():
    """Returns the codes that the Python sources emit, and those that they look up."""
    classes = coded_classes()
    emitted, looked_up = set(), set()
    for constant, parent in (item for tree in sources() for item in constants(tree)):
        code = constant.value
        if not CODE.fullmatch(code) or family(code) not in documented_families():
            continue
        if called(parent) in classes:
            emitted.add(code)
        elif is_only_looked_up(constant, parent):
            if not names_a_module(code):
                looked_up.add(code)
        elif not FILE_NAME.fullmatch(code) and not names_a_module(code):
            emitted.add(code)
    return emitted, looked_up


@cache
def built_patterns():
    """The f-strings that have the form of a code."""
    literal, gap = r"[a-z][a-z0-9_]*", r"\{\}"
    form = re.compile(rf"({literal})\.{gap}|{gap}\.{literal}")
    joined = (node for tree in sources() for node in ast.walk(tree))
    patterns = (pattern_of(node) for node in joined if isinstance(node, ast.JoinedStr))
    matches = (form.fullmatch(pattern) for pattern in patterns)
    return {m[0] for m in matches if m and (m[1] is None or m[1] in documented_families())}


def c_codes():
    """The table of nitro_status_code."""
    text = "".join(path.read_text() for path in (ROOT / "csrc").rglob("*.c"))
    return set(re.findall(rf'return "({CODE.pattern})";', text))


def emitted_codes():
    known = built_patterns() & BUILT.keys()
    built = {pattern.format(filling) for pattern in known for filling in BUILT[pattern]}
    return python_codes()[0] | built | c_codes()


def coded_calls():
    """The class and the code of each error, failure or warning that is made with a literal code."""
    for node in (node for tree in sources() for node in ast.walk(tree)):
        if called(node) in coded_classes() and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield called(node), first.value


def test_the_discovery_finds_codes_of_every_origin():
    emitted = emitted_codes()
    assert {"cbor.utf8", "document.encoding", "nsm.read_only_index", "policy.user_data"} <= emitted
    assert {"keypolicy.not_action", "freshness.unbound", "root.custom", "pe.truncated"} <= emitted
    assert len(emitted) > 170


def test_every_emitted_code_has_a_row():
    assert not sorted(emitted_codes() - documented_codes())


def test_every_row_is_of_an_emitted_code():
    assert not sorted(documented_codes() - emitted_codes())


def test_no_hint_or_sentence_is_for_a_code_that_nothing_emits():
    assert not sorted(python_codes()[1] - emitted_codes())


def test_every_code_that_is_built_is_known_here():
    assert built_patterns() <= BUILT.keys(), "add the new pattern and its fillings to BUILT"
    found = {constant.value for tree in sources() for constant, _ in constants(tree)}
    assert {filling for fillings in BUILT.values() for filling in fillings} <= found


def test_every_code_is_in_the_section_of_its_class():
    owners = documented_families()
    for heading, codes in code_sections().items():
        if heading.endswith("Error"):
            assert {owners[code.partition(".")[0]] for code in codes} == {heading}


def test_every_error_is_made_with_a_code_of_its_class():
    owners = documented_families()
    for name, code in coded_calls():
        assert family(code) in owners, f"{name}({code!r}): the first table lacks the family"
        if name.endswith("Error"):
            assert owners[family(code)] == name, code
        elif name == "PolicyFailure":
            assert owners[family(code)] == "PolicyError", code


def test_every_warning_is_in_the_section_of_warnings():
    warned = {
        code
        for name, code in coded_calls()
        if not name.endswith("Error") and name != "PolicyFailure"
    }
    assert len(warned) > 10
    assert warned <= code_sections()["Warnings"].keys()


def test_every_code_in_a_rule_has_a_row():
    for rule, row in rule_rows().items():
        for match in QUOTED_CODE.finditer(row[2]):
            assert match[1] in documented_codes(), rule


def test_codes_name_the_rules_that_name_them():
    expected = {}
    for rule, row in rule_rows().items():
        for match in QUOTED_CODE.finditer(row[2]):
            expected.setdefault(match[1], []).append(rule)
    for section in code_sections().values():
        for code, row in section.items():
            assert row[2] == (", ".join(expected.get(code, [])) or "-"), code


# Glossary


def test_terms_are_in_alphabetical_order_and_explained_once():
    [(_, lines)] = table_lines(GLOSSARY)
    rows = [cells(line) for line in lines[2:]]
    for (before, _), (after, _) in pairwise(rows):
        assert before.casefold() < after.casefold()
    for term, meaning in rows:
        assert term
        assert meaning.endswith("."), term
