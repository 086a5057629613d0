"""What a span of another library may say while content is off: only what is known to be no content.

Libraries put prompts, answers and documents under names of their own, and new ones come every month. So an attribute
stays where it is a number, a short identifier, a name that conventions use for something else than content, or a name
that the user allows. Everything else is left out, and the span says which names those were.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise import conventions as c
from spanwise.process.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_NAMES: Final = 64
_is_identifier: Final = re.compile(r"[A-Za-z0-9_.:/@+#$%&=~!?*()\[\]-]{0,64}", re.ASCII).fullmatch
"""Whether a text is short and in one word, as ids, models, versions and codes are: no blanks, quotes, commas."""
_is_known: Final = re.compile(
    r"gen_ai\.(?:operation\.name|provider\.name|system|request\.[a-z_.]+|response\.(?:id|model|finish_reasons)"
    r"|agent\.(?:id|name|version)|workflow\.name|conversation\.id|data_source\.id|output\.type|prompt\.(?:name|version)"
    r"|tool\.(?:name|type|call\.id)|evaluation\.(?:name|score\.label)|token\.type)"
    r"|error\.type|exception\.(?:type|escaped)|otel\.[a-z_.]+|spanwise\.[a-z_.]+|code\.[a-z_.]+"
    r"|(?:server|client|network|net|peer|host|os|process|thread|service|deployment|container|k8s|cloud|faas|telemetry)"
    r"\.[a-z0-9_.]+"
    r"|http\.(?:method|route|scheme|flavor|host|target|url|user_agent|status_code|request\.method|response\.status_code)"
    r"|url\.(?:full|path|scheme|domain|port|template)|user_agent\.original"
    r"|db\.(?:system|system\.name|name|namespace|operation|operation\.name|collection\.name|query\.summary|user)"
    r"|rpc\.(?:system|service|method)|messaging\.(?:system|destination\.name|operation|operation\.type)"
    r"|mcp\.(?:method\.name|session\.id|protocol\.version)|jsonrpc\.[a-z_.]+|graphql\.operation\.(?:name|type)"
    r"|openinference\.span\.kind|(?:llm|embedding|reranker)\.(?:model_name|provider|system)|session\.id"
    r"|traceloop\.(?:span\.kind|entity\.(?:name|path|version)|workflow\.name)"
    r"|graph\.node\.(?:id|name|parent_id)|lang(?:graph|smith)\.(?:node|step|span\.kind|trace\.name)"
    r"|langfuse\.(?:observation\.(?:type|level|model\.name)|trace\.name|environment|release)"
    r"|ai\.(?:operationId|model\.(?:id|provider)|toolCall\.(?:id|name)|response\.(?:id|model|finishReason))"
    r"|agent_name|model_name|logfire\.(?:span_type|level_num)"
).fullmatch


class Foreign:
    """Decides about attributes of other libraries.

    Args:
        allowed: names that stay whatever they hold; one that ends in `*` stands for all that begin so.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._names = frozenset(name for name in allowed if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in allowed if name.endswith("*"))
        self._known: Memo[str, bool] = Memo(self._is_known)

    def _is_known(self, name: str) -> bool:
        return _is_known(name) is not None or name in self._names or name.startswith(self._prefixes)

    def attributes(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what stays of attributes; the same object where that is all of them."""
        kept = {name: value for name, value in given.items() if _is_plain(value) or self._known[name]}
        if len(kept) == len(given):
            return given
        left_out = [name if _is_identifier(name) else "(a long name)" for name in given if name not in kept]
        kept[c.CONTENT_WITHHELD] = tuple(dict.fromkeys(left_out[:_MOST_NAMES]))
        return kept


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return _is_identifier(value) is not None
    if isinstance(value, list | tuple):
        return all(map(_is_plain, cast("Sequence[object]", value)))
    return isinstance(value, bool | int | float)
