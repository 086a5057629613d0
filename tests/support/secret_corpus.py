"""Secrets of real formats with made-up values, and texts that only look like some.

Nothing here is a key: values are drawn at run time from a seed, and prefixes are put together from parts, so that no
scanner of repositories takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass

Chars = Callable[..., str]
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
URLSAFE = ALNUM + "-_"


@dataclass(frozen=True)
class Example:
    """A secret inside a text."""

    kind: str
    secret: str
    """What must be gone."""
    text: str
    """Where it stands."""


def examples(seed: int = 1) -> list[Example]:
    """Return secrets, each with the kind that it is redacted as."""
    draw = random.Random(seed)

    def chars(number: int, alphabet: str = ALNUM) -> str:
        # A digit in front of the last character: some formats are told from words by having one.
        return "".join(draw.choices(alphabet, k=number - 2)) + "7" + draw.choice(alphabet.replace("-", "a"))

    alone = [(kind, "".join(parts)) for kind, *parts in (*_keys(chars), *_documents(chars), *_personal())]
    return [
        *(Example(kind, secret, secret) for kind, secret in alone),
        *(Example(kind, secret, text.format(secret)) for kind, text, secret in _named(chars)),
    ]


def _keys(chars: Chars) -> list[tuple[str, ...]]:
    return [
        ("openai", "sk", "-", chars(20), "T3Blbk", "FJ", chars(20)),
        ("openai", "sk", "-proj-", chars(74, URLSAFE), "T3Blbk", "FJ", chars(74, URLSAFE)),
        ("openai", "sk", "-svcacct-", chars(60, URLSAFE)),
        ("openai", "sk", "-admin-", chars(60, URLSAFE)),
        ("anthropic", "sk", "-ant-api03-", chars(93, URLSAFE), "AA"),
        ("openrouter", "sk", "-or-v1-", chars(64, HEX)),
        ("api_key", "sk", "-lf-", "1f0c2f43-7be1-4b1a-8c2e-6f1d0a9b3c4d"),
        ("openai", "sk", "-", chars(32, HEX)),
        ("google", "AI", "za", chars(35, URLSAFE)),
        ("google_oauth", "ya", "29.", chars(60, URLSAFE)),
        ("google_client_secret", "GOC", "SPX-", chars(28, URLSAFE)),
        ("aws_bedrock", "AB", "SK", chars(110)),
        ("github", "gh", "p_", chars(36)),
        ("github", "gh", "s_", chars(36)),
        ("github", "github", "_pat_", chars(22), "_", chars(59)),
        ("gitlab", "gl", "pat-", chars(20, URLSAFE)),
        ("slack", "xox", "b-", chars(12, string.digits), "-", chars(12, string.digits), "-", chars(24)),
        ("slack", "xox", "p-", chars(40, string.digits)),
        ("slack", "xa", "pp-1-", chars(11), "-", chars(12, string.digits)),
        ("stripe", "sk", "_live_", chars(24)),
        ("stripe", "sk", "_test_", chars(99)),
        ("stripe_restricted", "rk", "_live_", chars(24)),
        ("webhook_secret", "wh", "sec_", chars(32)),
        ("hugging_face", "h", "f_", chars(34)),
        ("langsmith", "ls", "v2_pt_", chars(32, HEX), "_", chars(10, HEX)),
        ("langsmith", "ls", "v2_sk_", chars(32, HEX), "_", chars(10, HEX)),
        ("langsmith", "ls", "__", chars(32, HEX)),
        ("groq", "gs", "k_", chars(52)),
        ("xai", "xa", "i-", chars(80)),
        ("perplexity", "pp", "lx-", chars(48)),
        ("replicate", "r", "8_", chars(37)),
        ("nvidia", "nv", "api-", chars(64, URLSAFE)),
        ("tavily", "tv", "ly-dev-", chars(32)),
        ("cerebras", "cs", "k-", chars(48)),
        ("fireworks", "f", "w_", chars(24)),
        ("databricks", "da", "pi", chars(32, HEX)),
        ("pinecone", "pc", "sk_", chars(70)),
        ("npm", "np", "m_", chars(36)),
        ("pypi", "py", "pi-AgEIcHlwaS5vcmc", chars(80, URLSAFE)),
        ("sendgrid", "S", "G.", chars(22, URLSAFE), ".", chars(43, URLSAFE)),
        ("vault", "hv", "s.", chars(90, URLSAFE)),
        ("digitalocean", "do", "p_v1_", chars(64, HEX)),
        ("e2b", "e2", "b_", chars(40, HEX)),
        ("supabase", "sb", "p_", chars(40, HEX)),
        ("shopify", "shp", "at_", chars(32, HEX)),
        ("linear", "lin", "_api_", chars(40)),
        ("notion", "nt", "n_", chars(46)),
        ("voyage", "pa", "-", chars(43, URLSAFE)),
        ("mailgun", "ke", "y-", chars(32, HEX)),
        ("new_relic", "NR", "AK-", chars(27, string.ascii_uppercase + string.digits)),
        ("docker", "dck", "r_pat_", chars(27, URLSAFE)),
        ("figma", "fi", "gd_", chars(40, URLSAFE)),
        ("twilio", "A", "C", chars(32, HEX)),
        ("twilio", "S", "K", chars(32, HEX)),
        ("discord", "M", "T", chars(24), ".", chars(6), ".", chars(38, URLSAFE)),
        ("grafana", "gl", "sa_", chars(32), "_", chars(8, HEX)),
        *(("aws_access_key_id", head, "IA", chars(16, string.ascii_uppercase + "234567")) for head in ("AK", "AS")),
    ]


def _documents(chars: Chars) -> list[tuple[str, ...]]:
    def part(document: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    head, claims = part({"alg": "HS256", "typ": "JWT"}), part({"sub": "someone", "iat": 1})
    body = "\n".join(chars(64) for _ in range(12))
    pgp = "PGP PRIVATE KEY BLOCK"
    return [
        ("jwt", head, ".", claims, ".", chars(43, URLSAFE)),
        *(
            ("private_key", f"-----BEGIN {kind}PRIVATE ", f"KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----")
            for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")
        ),
        ("private_key", f"-----BEGIN {pgp}-----\n\n{body}\n-----END {pgp}-----"),
        ("private_key", "-----BEGIN PRIVATE ", f"KEY-----\n{body[:300]}"),  # its end was cut off
    ]


def _personal() -> list[tuple[str, ...]]:
    addresses = (
        "ada@example.com", "first.last+tag@mail.example.co.uk", "x_1%y@sub-domain.example.org", "a@b.io",
        "ada%40example.com",
    )  # fmt: skip
    numbers = (
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "2223003122003222",
        "378282246310005", "3782 822463 10005", "6011111111111117", "3530111333300000", "30569309025904",
        "6200000000000005", "4222222222222",
    )  # fmt: skip
    return [*(("email", address) for address in addresses), *(("card", number) for number in numbers)]


def _named(chars: Chars) -> list[tuple[str, str, str]]:
    return [
        ("bearer", "Authorization: Bearer {}", chars(40)),
        ("bearer", "curl -H 'authorization: bearer {}'", chars(24, ALNUM + "-._~")),
        ("authorization", '"Authorization": "Basic {}"', chars(24)),
        ("authorization", "authorization=Token {}", chars(40, HEX)),
        ("url_password", "postgresql://desk:{}@db.internal:5432/runs", "hunter2"),
        ("url_password", "https://me:{}@host.example/path?x=1", "p:w!d(1)"),
        ("url_password", "redis://:{}@cache:6379/0", "s3cret"),
        ("url_token", "https://{}@git.example/repo", chars(40)),
        ("url_parameter", "GET /v1?api_key={}&limit=3", chars(20)),
        ("url_parameter", "https://bucket.example/x?X-Amz-Signature={}&a=b", chars(64, HEX)),
        ("url_parameter", "https://account.example/x?sv=2024&sig={}", chars(43)),
        (
            "slack_webhook",
            "https://hooks.example/services/{}",
            "/".join(("T" + chars(9, HEX.upper()), "B" + chars(9, HEX.upper()), chars(24))),
        ),
        ("discord_webhook", "https://discord.example/api/webhooks/123456789012345678/{}", chars(68, URLSAFE)),
        ("telegram", "https://api.telegram.example/bot123456789:{}/getMe", "AA" + chars(33, URLSAFE)),
        ("cookie", "Cookie: {}", f"session={chars(24)}; theme=dark"),
        ("cookie", "Set-Cookie: {}", f"id={chars(24)}; Path=/; HttpOnly"),
        ("cookie", '{{"cookie": "{}"}}', f"session={chars(24)}"),
        ("cookie", "('set-cookie', '{}')", f"id={chars(24)}; Secure"),
        ("pass", "DB_PASS={}", "hunter2"),
        ("pass", "SMTP-PASS: '{}'", "correct horse"),
        ("password", '{{"password": "{}"}}', "correct horse battery"),
        ("option", "psql --password {} -h db", "hunter2"),
        ("option", "tool --api-key {}", chars(24)),
        ("option", "tool --token {} run", chars(24)),
        ("curl_user", "curl -s -u me:{} https://x.example", "hunter2"),
        ("curl_user", "curl --user 'me:{}' https://x.example", "hunter2"),
        ("secret", "aws_secret_access_key = {}", chars(40, ALNUM + "/+")),
        ("secret", '{{"SecretAccessKey": "{}"}}', chars(40, ALNUM + "/+")),
        ("secret", "client_secret: '{}'", chars(32)),
        ("key", "COHERE_API_KEY={}", chars(40)),
        ("key", "x-api-key: {}", chars(32)),
        ("key", '{{"mistral_api_key": "{}"}}', chars(32)),
        ("key", "DefaultEndpointsProtocol=https;AccountKey={}==;EndpointSuffix=x", chars(86, ALNUM + "+/")),
        ("token", '{{"access_token":"{}","expires_in":3600}}', chars(40)),
        ("password", "PASSWORD={}", "hunter2"),
        ("password", '{{"password": "{}"}}', "correct-horse"),
        ("passwd", "mysql --passwd={}", "abc!def"),
        ("pwd", "Server=db;Uid=me;Pwd={};", "Tr0ub4dor"),
        ("password", "the password: {} (do not share)", "Tr0ub4dor3"),
    ]


LOOK_ALIKES = [
    # identities and hashes
    "123e4567-e89b-42d3-a456-426614174000", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "ac16135bd2cf9d75ab3ad252113c3032cf8cf175",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "chatcmpl-9x8y7z6w5v4u3t2s1r0q",
    "call_abc123def456ghi789jkl012", "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b", "req_0123456789abcdef",
    # words with a key's beginning
    "task-assessment-of-the-portfolio-company", "risk-adjusted-return-on-capital-employed-2026", "sk-learn",
    "sk-estimator-with-a-long-name-here", "disk-encryption-at-rest-is-configured", "hf_hub_download",
    "github_pattern_matching", "ghp_", "gsk_", "xoxo-hugs-and-kisses", "AKIA is how an access key begins",
    "pa-per-trail", "glpat", "npm_config_registry", "eyJust.a.word", "api-keys-are-rotated-every-90-days", "lsv2_pt_",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----",
    # numbers
    "9780306406157", "978-0-306-40615-7", "+1 415 555 2671", "0049 170 1234567", "(415) 555-2671",
    "1732147200000000000",
    "1732147200000", "4111111111111112", "4111 1111 1111 1112", "0.4111111111111111", "3.141592653589793",
    "41111111111111111111111", "192.168.100.200", "2026-11-21 06:12:53", "12 34 56 78 90 12 34 56",
    "id4111111111111111",
    "1234567890123456", "0000000000000000", "356938035643809",
    # at signs
    "node_modules/@types/node@18.0.0", "left-pad@1.3.0", "image@sha256", "logo@2x.png", "icons/app@3x.webp",
    "git@github.com:org/repo.git", "@decorator.route", "getty@tty1.service", "me@localhost", "x = a@b.transpose()",
    "@", "a@b", "user@host", "follow @someone on it", "3 apples @ 1.50", "a @ b.com",
    # settings and prose
    "max_tokens=1000000", "gen_ai.usage.input_tokens: 123456789012", "token: cancellation", "next_token_count=5",
    "cache_key=prices:MSFT:2013-03-01", "sort_key: created_at_desc_v2", "partition_key=2026-11-30T00",
    "bypass=12345678a", "--password must be set", "--token budget", "sort -u a:b1", "a cookie: biscuit",
    "cookies: 12 per box", "-pass the salt 7", "12345678:30", "ACCOUNTS", "SKU0123456789", "Cookie: none",
    "100%20 of it", "%d of %s, %2d",
    "password: must be chosen by the user", "password=None", 'password=os.environ["X"]', "the secret: patience",
    "password: $PASSWORD", "PASSWORD=${PASSWORD}", "key: value", "the keyword: abcdefghijkl", "primary_key=id",
    "Bearer of bad news", "bearer token authentication", "token budget: 4096", "authorization: required",
    "https://example.com/a/b?page=2&limit=100", "http://127.0.0.1:4318/v1/traces", "https://me@host.example/x",
    "file:///usr/share/doc/x@y", "C:\\new\\table", "v1.2.3-rc.1+build.5", "spanwise==0.1.0",
    "std::vector<int>::push_back",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA",
    "gen_ai.usage.cache_read.input_tokens", "gpt-4o-mini-2024-07-18", "claude-sonnet-4-5-20250929", "1,234,567,890.12",
]  # fmt: skip
"""Texts in which nothing is secret or personal."""
