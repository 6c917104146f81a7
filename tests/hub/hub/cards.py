"""Front matter of README.md, as strict as the Hub is with it."""
import re

try:
    import yaml
except ImportError:
    yaml = None

BLOCK = re.compile(rb"\A\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.S | re.M)
LISTS_OR_TEXT = ("license", "base_model", "language", "tags", "datasets", "library_name", "pipeline_tag")
RELATIONS = ("quantized", "adapter", "finetune", "merge")


def front_matter(readme):
    m = BLOCK.match(readme)
    return m[1] if m else None


def front_matter_error(readme):
    """What is wrong with a card, or None."""
    block = front_matter(readme)
    if block is None:
        return None
    if yaml is None:
        return "this test hub needs python3-yaml to look at cards"
    try:
        data = yaml.safe_load(block)
    except yaml.YAMLError as e:
        return str(e).replace("\n", " ")
    if data is None:
        return None
    if not isinstance(data, dict):
        return "the metadata must be a map"
    for key in LISTS_OR_TEXT:
        value = data.get(key)
        many = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(v, str) for v in many):
            return f'"{key}" must be a string or a list of strings'
    if data.get("base_model_relation", "quantized") not in RELATIONS:
        return f'"base_model_relation" must be one of {", ".join(RELATIONS)}'
    return None


def card_data(readme):
    block = front_matter(readme)
    if block is None or yaml is None or front_matter_error(readme):
        return {}
    return yaml.safe_load(block) or {}
