"""Row rules: who may create, read, update and delete which records, declared in the schema.

The syntax is ZenStack's (https://zenstack.dev/docs), in documentation comments:

    /// @@allow('read', published || auth().sub == authorId)
    /// @@deny('all', auth().suspended == true)
    model Post { … }
"""

from typing import Final

ALLOW: Final = "@@allow"
DENY: Final = "@@deny"


def declares_rules(content: str) -> bool:
    """Returns True if a schema's file may declare rules; such a file must be read by `declaration`."""
    return ALLOW in content or DENY in content or "@allow" in content or "@deny" in content
