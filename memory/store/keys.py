"""Where everything of a user lies in Redis. Every key is made here.

All keys of a user share the hash slot of `{tenant/user}`, so one script sees them all on a single
server, under Sentinel and in a cluster. Tenant and user are percent-encoded: no input can contain
`{`, `}`, `/` or `:`, and no two users can share a prefix.

| key                        | type   | holds                                            | expires |
|----------------------------|--------|--------------------------------------------------|---------|
| `<prefix>user`             | hash   | `epoch`, drawn anew when the user begins anew    | never   |
| `<prefix>key`              | string | the data key of sealed values, itself wrapped    | never*  |
| `<prefix>sessions`         | zset   | session ids by last activity                     | never   |
| `<prefix>session:<sid>`    | hash   | a session's metadata and its fold                | never   |
| `<prefix>messages:<sid>`   | list   | packed messages; index = position                | never   |
| `<prefix>vectors`          | hash   | `<sid>:<position>` or record id -> vector        | never   |
| `<prefix>records`          | hash   | record id -> revision and packed record          | never   |
| `<prefix>topics`           | hash   | topic, or its mask, -> record id                 | never   |
| `<prefix>history:<id>`     | list   | packed changes of a record                       | 30 days |
| `<prefix>extraction`       | hash   | how extractions went, counted                    | never   |
| `<prefix>released`         | set    | ids of what was released from quarantine         | never   |
| `<prefix>log`              | stream | the change log, `0-<sequence>`, trimmed          | never   |
| `<prefix>items`            | hash   | path -> when it began and packed item of a store | never   |
| `<prefix>outside`          | hash   | collection elsewhere -> up to where it is filled | never   |
| `<prefix>threads`          | set    | threads of LangGraph                             | never   |
| `<prefix>thread:<t>:ids`   | zset   | `<namespace>:<checkpoint id>`, in their order    | never   |
| `<prefix>thread:<t>:checkpoints` | hash | the same -> packed checkpoint                | never   |
| `<prefix>thread:<t>:blobs` | hash   | `<namespace>:<channel>:<version>` -> value       | never   |
| `<prefix>thread:<t>:writes:<id>` | hash | `<task>:<index>` -> write                    | never** |
| `<prefix>once:<nonce>`     | string | where a commit went; or that it was overtaken    | minutes |
| `<prefix>once:http:<name>` | string | the answer to a request that names itself        | a day   |
| `<prefix>usage:<day>`      | hash   | calls and tokens of the model, where counted     | 3 days  |
| `<prefix>usage:<day>:<turn id>` | string | that the turn is counted        | 2 hours |
| `<prefix>once:try:<digest>` | string | which try of a request is under way or was told | minutes |
| `<prefix>once:try:<digest>:late` | string | the try before it is still due        | minute |
| `<prefix>shown:<turn id>`  | string | what the turn's prompt showed                    | a week  |
| `<prefix>import:<id>`      | hash   | how many lines of an import are stored           | days    |
| `<prefix>lease:<purpose>`  | string | who is at a job                                  | minutes |
| `<prefix>lease:wait`       | string | nothing: a write that replicas are waited for    | second  |
| `<prefix>lease:line:<sid>` | list   | which turns wait for a session                   | seconds |
| `<prefix>lease:here:<sid>:<turn>` | string | that a turn still waits                   | seconds |

*) after days, while no `user` key is there.
**) after minutes, while the checkpoint is not there.
"""

from urllib.parse import quote, unquote

from onionskin.memory.types.messages import User

NAMESPACE = "onionskin"
API_KEYS = f"{NAMESPACE}:api-keys"
"""A hash of every API key, by id; permanent, and of no user."""
PSEUDONYM_KEY = f"{NAMESPACE}:pseudonym-key"
"""Random bytes, under which logs hash users; permanent, and of no user."""
ERASURES = f"{NAMESPACE}:{{erasures}}:"
"""The prefix of what is noted of erasures, of no user: `rewrite-due` stands until the append-only
file was rewritten, `epochs` (a zset of random names) for ten minutes."""
REWRITE_DUE, ERASED_EPOCHS = f"{ERASURES}rewrite-due", f"{ERASURES}epochs"
TASK_QUEUE = f"{NAMESPACE}:{{due}}:"
"""The beginning of what is due, for all users: `agenda.py`. Permanent; entries go when done."""
EMBEDDERS = f"{NAMESPACE}:embedders"
"""A hash: the dimensions of each embedder's vectors, and which one is in use; permanent."""
MASTER_KEY_CHECKS = f"{NAMESPACE}:master-keys"
"""A hash of what each master key in use is recognised by; permanent, and of no user."""
PERMANENT = (
    *("user", "sessions", "session:", "messages:", "vectors", "log"),
    *("records", "topics", "extraction", "released", "key"),
    *("items", "threads", "thread:", "outside"),
)
"""What stands after the prefix in keys without a time-to-live."""
SESSION_KEYS = f"{NAMESPACE}:{{*}}:session:*"
"""A SCAN pattern: the metadata of every session of every user."""
USER_KEYS = f"{NAMESPACE}:{{*/*}}:user"
"""A SCAN pattern: the `user` key of every user of every tenant."""
EVERY_KEY = f"{NAMESPACE}:{{*}}:*"
"""A SCAN pattern: every key of every user."""
DATA_KEYS = f"{NAMESPACE}:{{*}}:key"
"""A SCAN pattern: the data key of every user."""


def prefix(user: User) -> str:
    """The beginning of every key of `user`: `onionskin:{<tenant>/<user>}:`."""
    return f"{NAMESPACE}:{{{_encoded(user.tenant)}/{_encoded(user.id)}}}:"


def data_key(user: User) -> str:
    """The user's data key, wrapped."""
    return f"{prefix(user)}key"


def messages(user: User, session_id: str) -> str:
    """The transcript of a session."""
    return f"{prefix(user)}messages:{session_id}"


def session(user: User, session_id: str) -> str:
    """The metadata of a session."""
    return f"{prefix(user)}session:{session_id}"


def sessions(user: User) -> str:
    """The user's sessions by last activity."""
    return f"{prefix(user)}sessions"


def records(user: User) -> str:
    """The user's records."""
    return f"{prefix(user)}records"


def topics(user: User) -> str:
    """Which record holds which topic."""
    return f"{prefix(user)}topics"


def released(user: User) -> str:
    """What was released from quarantine."""
    return f"{prefix(user)}released"


def history(user: User, record_id: str) -> str:
    """The changes of a record."""
    return f"{prefix(user)}history:{record_id}"


def vectors(user: User) -> str:
    """The vectors of the user's messages."""
    return f"{prefix(user)}vectors"


def idempotency(user: User, name: str) -> str:
    """What became of a request or a commit that names itself."""
    return f"{prefix(user)}once:{name}"


def prompt_trace(user: User, turn_id: str) -> str:
    """What the prompt of a turn showed."""
    return f"{prefix(user)}shown:{turn_id}"


def items(user: User) -> str:
    """What a user's store holds."""
    return f"{prefix(user)}items"


def item(namespace: tuple[str, ...], name: str) -> str:
    """The field of an item: its path, each part encoded."""
    return f"{'/'.join(map(_encoded, namespace))}:{_encoded(name)}"


def parse_item(field: str) -> tuple[tuple[str, ...], str]:
    """The namespace and name of a field made by `item`."""
    path, _, name = field.partition(":")
    return tuple(map(unquote, path.split("/"))), unquote(name)


def vector_database_cursors(user: User) -> str:
    """Up to where collections outside hold the user's messages."""
    return f"{prefix(user)}outside"


def threads(user: User) -> str:
    """The threads of a user, encoded."""
    return f"{prefix(user)}threads"


def thread(thread_id: str) -> str:
    """What stands behind the user's prefix in every key of a thread but its own parts."""
    return f"thread:{_encoded(thread_id)}:"


def encoded(part: str) -> str:
    """A text without any character that has a meaning in a key."""
    return _encoded(part)


def decoded(part: str) -> str:
    """The text of `encoded`."""
    return unquote(part)


def usage(user: User, day: str) -> str:
    """What a user has used of the model in a day."""
    return f"{prefix(user)}usage:{day}"


def tenant_usage(tenant: str, day: str) -> str:
    """What a tenant has used of the model in a day."""
    return f"{NAMESPACE}:tenant:{{{_encoded(tenant)}}}:usage:{day}"


def import_progress(user: User, import_id: str) -> str:
    """How far an import has come."""
    return f"{prefix(user)}import:{import_id}"


def lease(user: User, purpose: str) -> str:
    """Who is at a job for this user."""
    return f"{prefix(user)}lease:{purpose}"


def script_keys(prefix: str) -> tuple[str, str]:
    """The keys that a script of a prefix is called with.

    There are two of them because a cluster refuses a call of several keys while their slot is moved
    and one is missing; a call of one key goes to where the slot moves to, and finds nobody there.
    """
    return prefix, f"{prefix}user"


def durability_marker(key: str) -> str:
    """A key on the hash slot of `key`, which is written so that there is something to wait for."""
    tag = key.partition("{")[2].partition("}")[0] or key
    return f"{NAMESPACE}:{{{tag}}}:lease:wait"


def user_keys(tenant: str) -> str:
    """A SCAN pattern: the `user` key of every user of a tenant. Encoded, it holds no wildcard."""
    return f"{NAMESPACE}:{{{_encoded(tenant)}/*}}:user"


def parse_user(key: str) -> User:
    """The user of any of their keys."""
    owner = key.removeprefix(f"{NAMESPACE}:{{").partition("}:")[0]
    tenant, _, user_id = owner.partition("/")
    return User(unquote(user_id), unquote(tenant))


def parse_session(key: str) -> tuple[User, str]:
    """The user and session id of a key made by `session`."""
    owner, _, session_id = key.removeprefix(f"{NAMESPACE}:{{").partition("}:session:")
    tenant, _, user_id = owner.partition("/")
    return User(unquote(user_id), unquote(tenant)), session_id


def _encoded(part: str) -> str:
    return quote(part, safe="")
