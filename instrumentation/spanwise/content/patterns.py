"""What a secret or a piece of personal data looks like: four expressions, each linear on any text.

Python's engine backtracks, so every repeat is possessive or bounded, and each expression begins with literal
characters, which fail fast; that a word begins there is checked behind the first one. The name of the group says what
was found; where a group does not span the whole match, only the group is replaced.
"""

from __future__ import annotations

import functools
import re
from typing import Final


def _from(first: str, hint: str, rest: str) -> str:
    """Return the pattern of a word that begins with the character `first`, then `hint`, which fails fast."""
    return rf"{first}(?={hint})(?<![A-Za-z0-9_]{first})(?:{rest})"


_END: Final = r"(?![A-Za-z0-9])"
_WORD: Final = r"[A-Za-z0-9_-]"

_TOKENS: Final = (
    _from(
        "s",
        "[kbh][-_p]",
        rf"(?<!k-s)(?:(?P<anthropic>k-ant-{_WORD}{{16,}}+)|(?P<openrouter>k-or-{_WORD}{{20,}}+)"
        rf"|(?P<openai>k-(?:(?:proj|svcacct|admin|None)-{_WORD}{{16,}}+|[A-Za-z0-9]{{20,}}+))"
        rf"|(?P<api_key>k-(?=[A-Za-z_-]{{0,24}}+[0-9]){_WORD}{{20,}}+)"
        r"|(?P<stripe>k_(?:live|test)_[A-Za-z0-9]{10,}+)|(?P<supabase>bp_[0-9a-f]{40}+)"
        r"|(?P<shopify>hp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}+))",
    ),
    _from("r", "[k8]_", r"(?P<stripe_restricted>k_(?:live|test)_[A-Za-z0-9]{10,}+)|(?P<replicate>8_[A-Za-z0-9]{30,}+)"),
    _from("w", "hsec_", r"(?P<webhook_secret>hsec_[A-Za-z0-9+/]{20,}+=*)"),
    _from(
        "A",
        "[IQKSBC][zISC.][AaK]",
        rf"(?P<google>Iza{_WORD}{{35}}+|Q\.Ab{_WORD}{{30,}}+)"
        rf"|(?P<aws_access_key_id>(?:KIA|SIA|BIA|CCA)[A-Z0-9]{{16}}+{_END})|(?P<aws_bedrock>BSK[A-Za-z0-9+/]{{100,}}+=*)",
    ),
    _from("y", "a29", rf"(?P<google_oauth>a29\.{_WORD}{{20,}}+)"),
    _from("G", "OC", rf"(?P<google_client_secret>OCSPX-{_WORD}{{20,}}+)"),
    _from(
        "g",
        "[hils][a-z_][a-z_]",
        rf"(?P<github>h[pousr]_[A-Za-z0-9]{{30,}}+|ithub_pat_[A-Za-z0-9_]{{22,}}+)"
        rf"|(?P<gitlab>l(?:pat|ptt|dt|rt|cbt|ft|agent|soat|oas|imt|ffct)-{_WORD}{{20,}}+)"
        r"|(?P<groq>sk_[A-Za-z0-9]{32,}+)|(?P<grafana>lsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|lc_[A-Za-z0-9+/]{32,}+=*)",
    ),
    _from(
        "x",
        "(?:ox|app|ai)",
        r"(?P<slack>ox[abeoprs]-(?=[A-Za-z-]{0,12}+[0-9])[A-Za-z0-9-]{10,}+|oxe\.xox[bp]-[A-Za-z0-9-]{10,}+|app-[0-9]-[A-Za-z0-9-]{10,}+)"
        r"|(?P<xai>ai-[A-Za-z0-9]{40,}+)",
    ),
    _from("h", "[fv][_sb]", rf"(?P<hugging_face>f_[A-Za-z0-9]{{30,}}+)|(?P<vault>v[sb]\.{_WORD}{{24,}}+)"),
    _from(
        "l",
        "[si][vn_][2_]",
        r"(?P<langsmith>sv2_(?:pt|sk)_[0-9a-zA-Z_]{32,}+|s__[0-9a-f]{32}+)|(?P<linear>in_api_[A-Za-z0-9]{40}+)",
    ),
    _from(
        "p",
        "[plcya][lsp-]",
        rf"(?P<perplexity>plx-[A-Za-z0-9]{{40,}}+)|(?P<pinecone>csk_[A-Za-z0-9_]{{50,}}+)"
        rf"|(?P<pypi>ypi-AgE{_WORD}{{50,}}+)|(?P<voyage>a-{_WORD}{{40,80}}+)",
    ),
    _from(
        "n",
        "[vpt][amn][p_]",
        rf"(?P<nvidia>vapi-{_WORD}{{40,}}+)|(?P<npm>pm_[A-Za-z0-9]{{36}}+)|(?P<notion>tn_[A-Za-z0-9]{{40,}}+)",
    ),
    _from("t", "vly-", rf"(?P<tavily>vly-{_WORD}{{16,}}+)"),
    _from("c", "sk-", r"(?P<cerebras>sk-[A-Za-z0-9]{40,}+)"),
    _from(
        "d",
        "(?:api[0-9a-f]|o[opr]_v1|ckr_)",
        r"(?P<databricks>api[0-9a-f]{32}+)|(?P<digitalocean>o[opr]_v1_[0-9a-f]{64}+)"
        rf"|(?P<docker>ckr_(?:pat|oat)_{_WORD}{{20,}}+)",
    ),
    _from("f", "(?:w_|ig)", rf"(?P<fireworks>w_[A-Za-z0-9]{{22,}}+)|(?P<figma>ig(?:d|o|u|or|ur)_{_WORD}{{30,}}+)"),
    _from("k", "ey-", rf"(?P<mailgun>ey-[0-9a-f]{{32}}+{_END})"),
    _from("N", "R[A-Z]{2}-", rf"(?P<new_relic>R(?:AK|II|JS|AA)-{_WORD}{{16,}}+)"),
    rf"(?:A(?=C)|S(?=K))(?<![A-Za-z0-9_].)(?P<twilio>[CK][0-9a-f]{{32}}+{_END})",
    rf"[MNO](?<!{_WORD}.)(?P<discord>{_WORD}{{22,27}}\.{_WORD}{{6}}\.{_WORD}{{27,}}+)",
    _from(
        "e",
        "[y2][Jb]",
        rf"(?P<e2b>2b_[0-9a-f]{{40}}+)|(?P<jwt>(?<!-e)yJ{_WORD}{{8,}}+\.eyJ{_WORD}{{8,}}+(?:\.{_WORD}*+)?)",
    ),
    _from("S", "G[.]", rf"(?P<sendgrid>(?<!-S)G\.{_WORD}{{16,}}+\.{_WORD}{{20,}}+)"),
    r"e(?=arer )(?<=[bB]e)arer[ ]{1,4}(?P<bearer>(?=[^\s\"'\\,;<>0-9]{0,40}+[0-9])[A-Za-z0-9._~+/=-]{12,}+)",
    (
        r"-(?P<private_key>(?=----BEGIN )----BEGIN[ ][A-Z0-9 ]{0,30}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----"
        r"(?:[^-\"\\]|\\(?!\\{0,7}\")|-(?!----)){0,20000}+(?:-----END[ ][A-Z0-9 ]{0,40}-----)?)"
    ),
)

_GATES: Final = ("AKIA", "ASIA", "ABIA", "ACCA", "AIza", "eyJ", "earer", "dapi", "ABSK", "PRIVATE KEY")
_SEPARATED: Final = r"[-_.](?=[A-Za-z0-9_-]{10})|(?:AC|SK)[0-9a-f]{32}"

# A value's end is a quote, a blank, a bracket or a separator; a reference to a value is no value.
_ENDS: Final = "\"'\\,;&<>(){}[]"
_PLAIN: Final = rf"[^\s{re.escape(_ENDS)}]"
_NO_VALUE: Final = (
    r"(?!(?:[Nn]one|[Nn]ull|[Tt]rue|[Ff]alse|str|string|int|bytes|bool|password|secret|token|required|optional)\b"
    r"|(?:os|self|config|settings|args|env)\.|getenv\b|\[redacted|[$<%*])"
)
_ASSIGNED: Final = r"\\{0,7}+[\"']?+[ ]{0,3}+[:=][ ]{0,3}+\\{0,7}+[\"']?+"
_BEFORE_DIGIT: Final = rf"[^0-9\s{re.escape(_ENDS)}]"
_DIGIT_SOON: Final = rf"(?={_BEFORE_DIGIT}{{0,60}}+[0-9])"


_KEYS: Final = "|".join(
    f"(?<={''.join(f'[{letter}{letter.upper()}]' for letter in before)}{between}[kK][eE].)"
    for before in ("api", "ess", "cret", "vate", "unt", "ption")
    for between in ("", "[_-]")
)
"""What stands before the `y` of a secret's key: api, access, secret, private, account, subscription, encryption."""


def _password(group: str) -> str:
    """Return the pattern of what follows `password`: in prose (no quote, no equals sign) it has to have a digit."""
    phrase = rf"(?<=[\"'])(?=[^\"'\\\n]{{3,128}}+\\{{0,7}}+[\"']){_NO_VALUE}[^\"'\\\n]{{3,128}}+"
    quoted = rf"(?<=[=\"']){_NO_VALUE}{_PLAIN}{{3,}}+"
    prose = rf"{_DIGIT_SOON}{_NO_VALUE}{_PLAIN}{{6,}}+"
    return rf"{_ASSIGNED}(?P<{group}>{phrase}|{quoted}|{prose})"


def _secret(group: str, scheme: str = "") -> str:
    return rf"{_ASSIGNED}{scheme}(?P<{group}>{_DIGIT_SOON}{_NO_VALUE}{_PLAIN}{{12,}}+)"


_NAMED: Final = (
    # A name is recognised at a rare letter in its middle, which a text is searched for faster than its beginning.
    (
        rf"[oOdD](?:[rR][dD](?<=[pP][aA][sS][sS][wW][oO]..){_password('password')}"
        rf"|(?<=[pP][wW][dD]){_password('pwd')}|(?<=[pP][aA][sS][sS][wW][dD]){_password('passwd')})"
    ),
    (
        r"[rReEaA](?:[eE][tT](?<=[sS][eE][cC][rR]..)(?:[_-]?(?:[aA][cC][cC][eE][sS][sS][_-]?)?[kK][eE][yY])?"
        rf"{_secret('secret')}"
        rf"|[yY](?:{_KEYS}){_secret('key')}"
        rf"|[nN](?<=[tT][oO][kK][eE].){_secret('token')}"
        rf"|[tT][iI][oO][nN](?<=[uU][tT][hH][oO][rR][iI][zZ][aA]....)"
        rf"{_secret('authorization', scheme='(?:[A-Za-z]{3,12}[ ])?')})"
    ),
    r"//[^\s/?#:@\"'\\<>\[\]]{0,128}+:(?P<url_password>[^\s/?#\"'\\<>\[\]]{1,256})@",
    r"//(?P<url_token>[^\s/?#:@\"'\\<>\[\]]{20,256}+)@",
    (
        r"(?<=[?&])[a-zA-Z_-]{3,40}+=(?=[^\s&#\"'\\<>]{6})(?:(?<=[tT]oken=)|(?<=[kK]ey=)|(?<=[sS]ecret=)|(?<=[sS]ignature=)"
        r"|(?<=[pP]assword=)|(?<=[cC]redential=)|(?<=[?&]sig=)|(?<=[?&]code=))(?P<url_parameter>[^\s&#\"'\\<>]{6,}+)"
    ),
    r"services/(?P<slack_webhook>T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{16,}+)",
    r"api/webhooks/[0-9]{15,22}/(?P<discord_webhook>[A-Za-z0-9_-]{40,}+)",
    r"(?<=[0-9]{8}:)(?P<telegram>[A-Za-z0-9_-]{35}+)(?![A-Za-z0-9])",
    rf"(?<=[_-])[pP][aA][sS][sS]{_password('pass')}",
    (
        r"(?<=-)(?:(?:password|passwd|passphrase|pass|pwd|token|secret|api-?key|(?:auth|access)-token|client-secret)"
        rf"[ ](?P<option>(?=[a-z]{{0,60}}+(?![a-z.!?:]){_PLAIN}){_NO_VALUE}(?!-){_PLAIN}{{4,}}+))"
    ),
    (
        r"url[ ](?:[^\n]{0,200}?[ ])??(?:-u|--user)[ =]{1,2}\\{0,7}[\"']?[^\s:\"']{1,64}"
        r":(?P<curl_user>[^\s\"'\\]{1,256}+)"
    ),
    (
        r"(?<=[cC])[oO][oO][kK][iI][eE]\\{0,7}+[\"']?+[ ]{0,3}+[:=,][ ]{0,3}+\\{0,7}+[\"']?+"
        r"(?=[^\s;=\"'\\]{1,128}=)(?P<cookie>[^\"'\\\r\n]{4,4096}+)"
    ),
)

_LOCAL: Final = r"[A-Za-z0-9._%+-]"
_FILES: Final = (
    r"(?:png|jpe?g|gif|svg|webp|avif|pdf|css|[jt]sx?|[cm]js|json|html?|txt|ya?ml|xml|jar|whl|t?gz|zip|conf|cfg|lock|log"
    r"|service|socket|timer|target|mount|slice|internal|local|localhost|localdomain)"
)
_DOMAIN: Final = (
    rf"(?:[A-Za-z0-9-]{{1,63}}+\.)+(?<=[A-Za-z0-9]\.)(?=[A-Za-z]{{2}})(?!{_FILES}\b)[A-Za-z]{{2,24}}+(?![A-Za-z0-9(_-])"
)
_EMAIL: Final = (
    # Looking back comes first: nearly every character can begin an address, and few stand where a word begins.
    rf"(?<![A-Za-z0-9._%+\\-]){_LOCAL}(?<!//{_LOCAL})"
    rf"(?:{_LOCAL}{{0,63}}+@|(?=[A-Za-z0-9._+-]{{0,63}}+%)(?>{_LOCAL}{{0,63}}?%40))(?<![^A-Za-z0-9]git@)(?<!\Agit@){_DOMAIN}"
)
_CARD: Final = (
    r"([2-6](?<![0-9A-Za-z_.][0-9])"
    r"(?:[0-9]{12,18}+|[0-9]{3}(?:(?: [0-9]{4}){3}|(?:-[0-9]{4}){3}| [0-9]{6} [0-9]{4,5}|-[0-9]{6}-[0-9]{4,5}))"
    r"(?![0-9A-Za-z_])(?!\.[0-9]))"
)


@functools.cache
def tokens() -> re.Pattern[str]:
    """Return what finds keys and tokens by their own form."""
    return re.compile("|".join(_TOKENS))


@functools.cache
def gate() -> re.Pattern[str]:
    """Return what a text contains somewhere that has a token with a separator; most texts do not."""
    return re.compile(_SEPARATED)


def literals() -> tuple[str, ...]:
    """Return what a text contains one of that has a token without a separator."""
    return _GATES


@functools.cache
def named() -> re.Pattern[str]:
    """Return what finds secrets by the name that stands before them."""
    return re.compile(rf"[wWcCkKzZ:?&/_-](?:{'|'.join(_NAMED)})")


@functools.cache
def email() -> re.Pattern[str]:
    """Return what finds e-mail addresses, also percent-encoded ones."""
    return re.compile(_EMAIL)


@functools.cache
def card() -> re.Pattern[str]:
    """Return what finds numbers that can be card numbers, plain or in groups."""
    return re.compile(_CARD)
