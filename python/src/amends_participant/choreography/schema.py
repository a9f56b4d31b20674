"""A saga's data against the schema of its definition."""

from __future__ import annotations

from typing import Any


def violations(schema: Any, data: Any) -> list[str]:
    """Where the data does not fit, without values. It needs the extra `jsonschema`."""
    try:
        from jsonschema import Draft202012Validator, validators
        from referencing import Registry
    except ImportError:
        raise RuntimeError(
            "the definition has a schema of its data, and to look at data by it jsonschema is"
            " needed where sagas are started: pip install 'amends-participant[jsonschema]'"
        ) from None
    kind = validators.validator_for(schema, default=Draft202012Validator)
    # What a schema refers to elsewhere is not fetched.
    validator = kind(schema, registry=Registry())
    try:
        return [
            f"{'/'.join(['data', *map(str, error.absolute_path)])}: {error.validator}"
            for error in validator.iter_errors(data)
        ]
    except Exception as e:
        # A reference to what is not in the schema, or a pattern that Python does not read.
        return [f"the schema cannot be gone by here: {type(e).__name__}"]
