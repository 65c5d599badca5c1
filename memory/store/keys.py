"""The keys of Redis. Every key is made here.

Every key of a user begins with `onionskin:{tenant/user}:`. They share one hash slot, so one script
reaches them all on a single server, under Sentinel and in a cluster. Tenant and user are
percent-encoded: no input can contain `{`, `}`, `/` or `:`, and no two users can share a prefix.

| key                       | type   | content                                           | expires |
|---------------------------|--------|---------------------------------------------------|---------|
| `user`                    | hash   | `epoch`, an id per life; stored bytes; time zone  | never   |
| `key`                     | string | the wrapped data key of encrypted values          | never*  |
| `sessions`                | zset   | session ids by last activity                      | never   |
| `session:<sid>`           | hash   | a session's metadata and summary                  | never   |
| `messages:<sid>`          | list   | packed messages; index = position                 | never   |
| `vectors`                 | hash   | `<sid>:<position>` or record id -> vector         | never   |
| `records`                 | hash   | record id -> revision and packed record           | never   |
| `topics`                  | hash   | topic, or its blind index -> record id            | never   |
| `history:<id>`            | list   | packed changes of a record                        | 30 days |
| `extraction`              | hash   | number of extractions by outcome                  | never   |
| `released`                | set    | ids released from quarantine                      | never   |
| `log`                     | stream | the change log, `0-<sequence>`, trimmed           | never   |
| `items`                   | hash   | path -> creation time and packed LangGraph item   | never   |
| `outside`                 | hash   | collection of a vector database -> cursor         | never   |
| `threads`                 | set    | thread ids of LangGraph                           | never   |
| `thread:<t>:ids`          | zset   | `<namespace>:<checkpoint id>`, in order           | never   |
| `thread:<t>:checkpoints`  | hash   | the same -> packed checkpoint                     | never   |
| `thread:<t>:blobs`        | hash   | `<namespace>:<channel>:<version>` -> value        | never   |
| `thread:<t>:writes:<id>`  | hash   | `<task>:<index>` -> write                         | never** |
| `once:<nonce>`            | string | the position of a commit, or `overtaken`          | minutes |
| `once:message:<digest>`   | string | the nonce and place of a message with a client id | a day   |
| `once:http:<name>`        | string | the response under an idempotency key             | a day   |
| `usage:<day>`             | hash   | model calls and tokens, where budgeted            | 3 days  |
| `usage:<day>:<turn id>`   | string | marks a turn as counted                           | 2 hours |
| `once:owner:<name>`       | string | the token of the running request with this key    | minutes |
| `once:try:<digest>`       | string | the state of the latest attempt of a request      | minutes |
| `once:try:<digest>:late`  | string | marks that an earlier attempt is expected         | minute  |
| `shown:<turn id>`         | string | the prompt trace of a turn                        | a week  |
| `import:<id>`             | hash   | how many lines of an import are stored            | days    |
| `summary`                 | string | the model's summary of the user                   | a week  |
| `import:<id>:lines`       | string | digests of these lines                            | days    |
| `lease:<purpose>`         | string | the worker that holds a task or session           | minutes |
| `lease:wait`              | string | empty; a marker for WAIT                          | second  |
| `lease:line:<sid>`        | list   | the queue of turns that wait for a session        | seconds |
| `lease:here:<sid>:<turn>` | string | marks that a turn still waits                     | seconds |

*) after days, while there is no `user` key.
**) after minutes, while there is no checkpoint.
"""

from urllib.parse import quote, unquote

from onionskin.memory.types.messages import User

NAMESPACE = "onionskin"
API_KEYS = f"{NAMESPACE}:api-keys"
"""A hash of every API key, by id; permanent, of no user."""
PSEUDONYM_KEY = f"{NAMESPACE}:pseudonym-key"
"""Random bytes that key the hashes of users in logs; permanent, of no user."""
ERASURES = f"{NAMESPACE}:{{erasures}}:"
"""The prefix of notes about erasures, of no user: `rewrite-due` exists until the append-only file
is rewritten, `epochs` (a zset of random ids) for ten minutes."""
REWRITE_DUE, ERASED_EPOCHS = f"{ERASURES}rewrite-due", f"{ERASURES}epochs"
TASK_QUEUE = f"{NAMESPACE}:{{due}}:"
"""The prefix of the task queue of all users, see `task_queue.py`; permanent."""
EMBEDDERS = f"{NAMESPACE}:embedders"
"""A hash of the dimensions of each embedder's vectors, and the embedder in use; permanent."""
MASTER_KEY_CHECKS = f"{NAMESPACE}:master-keys"
"""A hash of the check value of each master key in use; permanent, of no user."""
PERMANENT = (
    *("user", "sessions", "session:", "messages:", "vectors", "log"),
    *("records", "topics", "extraction", "released", "key"),
    *("items", "threads", "thread:", "outside"),
)
"""Keys without a time-to-live, after the prefix; those ending in `:` are families."""
SESSION_KEYS = f"{NAMESPACE}:{{*}}:session:*"
"""A SCAN pattern: the metadata of every session of every user."""
USER_KEYS = f"{NAMESPACE}:{{*/*}}:user"
"""A SCAN pattern: the `user` key of every user of every tenant."""
EVERY_KEY = f"{NAMESPACE}:{{*}}:*"
"""A SCAN pattern: every key of every user."""
DATA_KEYS = f"{NAMESPACE}:{{*}}:key"
"""A SCAN pattern: the data key of every user."""


def prefix(user: User) -> str:
    """The prefix of every key of `user`: `onionskin:{<tenant>/<user>}:`."""
    return f"{NAMESPACE}:{{{quote(user.tenant, '')}/{quote(user.id, '')}}}:"


def data_key(user: User) -> str:
    """The wrapped data key of the user."""
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
    """The record of each topic."""
    return f"{prefix(user)}topics"


def released(user: User) -> str:
    """The ids that were released from quarantine."""
    return f"{prefix(user)}released"


def history(user: User, record_id: str) -> str:
    """The changes of a record."""
    return f"{prefix(user)}history:{record_id}"


def vectors(user: User) -> str:
    """The vectors of the user's messages and records."""
    return f"{prefix(user)}vectors"


def idempotency(user: User, name: str) -> str:
    """The response of a request or the position of a commit, by idempotency key or nonce."""
    return f"{prefix(user)}once:{name}"


def prompt_trace(user: User, turn_id: str) -> str:
    """The prompt trace of a turn."""
    return f"{prefix(user)}shown:{turn_id}"


def items(user: User) -> str:
    """The user's items of LangGraph's store."""
    return f"{prefix(user)}items"


def item(namespace: tuple[str, ...], name: str) -> str:
    """The field of an item: its path, each part encoded."""
    return f"{'/'.join(map(_encoded, namespace))}:{_encoded(name)}"


def parse_item(field: str) -> tuple[tuple[str, ...], str]:
    """The namespace and name of a field made by `item`."""
    path, _, name = field.partition(":")
    return tuple(map(unquote, path.split("/"))), unquote(name)


def vector_database_cursors(user: User) -> str:
    """The cursors of the vector databases that hold the user's messages."""
    return f"{prefix(user)}outside"


def threads(user: User) -> str:
    """The encoded ids of the user's threads."""
    return f"{prefix(user)}threads"


def thread(thread_id: str) -> str:
    """What follows the user's prefix in every key of a thread."""
    return f"thread:{_encoded(thread_id)}:"


def encoded(part: str) -> str:
    """A text without characters that have a meaning in keys."""
    return _encoded(part)


def decoded(part: str) -> str:
    """The text of `encoded`."""
    return unquote(part)


def usage(user: User, day: str) -> str:
    """The model usage of a user on a day."""
    return f"{prefix(user)}usage:{day}"


def tenant_usage(tenant: str, day: str) -> str:
    """The model usage of a tenant on a day."""
    return f"{NAMESPACE}:tenant:{{{_encoded(tenant)}}}:usage:{day}"


def import_progress(user: User, import_id: str) -> str:
    """The progress of an import."""
    return f"{prefix(user)}import:{import_id}"


def user_summary(user: User) -> str:
    """The summary of the user that the model wrote."""
    return f"{prefix(user)}summary"


def imported_lines(user: User, import_id: str) -> str:
    """The digests of an import's lines."""
    return f"{import_progress(user, import_id)}:lines"


def lease(user: User, purpose: str) -> str:
    """The lease on a task or session of the user."""
    return f"{prefix(user)}lease:{purpose}"


def script_keys(prefix: str) -> tuple[str, str]:
    """The two keys that a script of a prefix is called with.

    While a cluster moves a slot, it refuses a call with several keys if one is missing. A call with
    a single missing key would be sent on to the new node, and find no data there yet.
    """
    return prefix, f"{prefix}user"


def durability_marker(key: str) -> str:
    """A key on the hash slot of `key`; writing it gives WAIT something to wait for."""
    tag = key.partition("{")[2].partition("}")[0] or key
    return f"{NAMESPACE}:{{{tag}}}:lease:wait"


def user_keys(tenant: str) -> str:
    """A SCAN pattern: the `user` key of every user of a tenant. Encoding removes wildcards."""
    return f"{NAMESPACE}:{{{_encoded(tenant)}/*}}:user"


def parse_user(key: str) -> User:
    """The user who owns a key."""
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
