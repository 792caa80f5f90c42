"""As much of JSON Schema as the schemas of this repository use; any other keyword is an error."""

import re

TYPES = {
    "null": lambda v: v is None,
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}
# Each keyword judges only values of the type that it is about, as JSON Schema has it.
KEYWORDS = {
    "type": lambda v, arg: any(TYPES[t](v) for t in ([arg] if isinstance(arg, str) else arg)),
    "const": lambda v, arg: v == arg,
    "enum": lambda v, arg: v in arg,
    "required": lambda v, arg: not isinstance(v, dict) or set(arg) <= set(v),
    "minItems": lambda v, arg: not isinstance(v, list) or len(v) >= arg,
    "minProperties": lambda v, arg: not isinstance(v, dict) or len(v) >= arg,
    "maxProperties": lambda v, arg: not isinstance(v, dict) or len(v) <= arg,
    "minLength": lambda v, arg: not isinstance(v, str) or len(v) >= arg,
    "maxLength": lambda v, arg: not isinstance(v, str) or len(v) <= arg,
    "pattern": lambda v, arg: not isinstance(v, str) or re.search(arg, v) is not None,
    "minimum": lambda v, arg: not TYPES["number"](v) or v >= arg,
    "exclusiveMinimum": lambda v, arg: not TYPES["number"](v) or v > arg,
}
MEMBERS = {"properties", "patternProperties", "additionalProperties"}
SILENT = {"$schema", "$defs", "title", "description"}


def valid(value, schema, root=None):
    """Whether the value is as the schema has it; references are looked up in the root schema."""
    root = schema if root is None else root
    for name, arg in schema.items():
        if name == "$ref":
            judged = valid(value, root["$defs"][arg.removeprefix("#/$defs/")], root)
        elif name == "items":
            judged = not isinstance(value, list) or all(valid(item, arg, root) for item in value)
        else:
            judged = name in MEMBERS | SILENT or KEYWORDS[name](value, arg)
        if not judged:
            return False
    return not isinstance(value, dict) or _members_valid(value, schema, root)


def _members_valid(value, schema, root):
    for key, member in value.items():
        found = [sub for name, sub in schema.get("properties", {}).items() if name == key]
        found += [
            sub for name, sub in schema.get("patternProperties", {}).items() if re.search(name, key)
        ]
        if not found and schema.get("additionalProperties") is False:
            return False
        if not all(valid(member, sub, root) for sub in found):
            return False
    return True
