"""One Slack workspace in memory, as strict as the real one: a Web API method and its arguments in, its answer out. Pure.

Behaviour as documented at docs.slack.dev/reference/methods, and as seen where that is silent: a reply to a root that is
gone is posted to the channel without an error (slack-go/slack#1571), a text over 4,000 characters without blocks becomes
several messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.kit import block_kit, slack_files
from tests.kit.slack_channel import BOT_ID, BOT_USER, TEAM, Answer, Channel, Post
from tests.kit.slack_files import Files
from tests.kit.slack_modals import Modals, Refused

SPLIT_AT = 4_000

Args = Mapping[str, Any]

ALL_SCOPES = frozenset(
    (
        "chat:write",
        "channels:history",
        "groups:history",
        "channels:read",
        "groups:read",
        "im:write",
        "users:read",
        "users:read.email",
        "metadata.message:read",
        "files:write",
        "links:write",
    )
)
_SCOPES: dict[str, tuple[str, ...]] = {
    "chat.postMessage": ("chat:write",),
    "chat.update": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "conversations.history": ("channels:history", "groups:history"),
    "conversations.replies": ("channels:history", "groups:history"),
    "conversations.list": ("channels:read", "groups:read"),
    "conversations.info": ("channels:read", "groups:read"),
    "conversations.open": ("im:write",),
    "users.info": ("users:read",),
    "files.getUploadURLExternal": ("files:write",),
    "files.completeUploadExternal": ("files:write",),
}


class ApiError(Exception):
    """`ok: false` with this error word, and what else the answer holds."""

    def __init__(self, code: str, **more: object) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


class Workspace:
    """All channels, and the methods of the Web API on them. `accepted` is told of every message taken."""

    def __init__(self, clock: Callable[[], float], accepted: Callable[[str, Channel, Post], None]) -> None:
        self._clock = clock
        self._accepted = accepted
        self._last_ts = 0
        self.scopes = set(ALL_SCOPES)
        self.channels: dict[str, Channel] = {}
        self.ephemerals: list[Answer] = []
        self.zones: dict[str, str] = {}
        self.people: dict[str, Answer] = {}
        self.modals = Modals(clock)
        self.files = Files()
        self.homes: dict[str, list[Any]] = {}
        self.links: dict[tuple[str, str], set[str]] = {}
        self.unfurled: dict[str, list[Any]] = {}
        self.mentions: list[str] = []
        self._methods: dict[str, Callable[[Args], Answer]] = {
            "api.test": self._api_test,
            "auth.test": self._auth_test,
            "chat.getPermalink": self._permalink,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.unfurl": self._unfurl,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.info": self._info,
            "conversations.list": self._list,
            "conversations.open": self._open,
            "conversations.replies": self._replies,
            "files.getUploadURLExternal": lambda args: self._filed(lambda: self.files.address(args)),
            "files.completeUploadExternal": self._complete,
            "users.info": self._user,
            "views.open": lambda args: self._modal(self.modals.open, args),
            "views.publish": self._publish,
            "views.update": lambda args: self._modal(self.modals.update, args),
        }

    def add_channel(self, name: str, *, private: bool = False, member: bool = True, archived: bool = False) -> Channel:
        """Open a channel."""
        channel = Channel(f"C{len(self.channels) + 1:09d}", name.lstrip("#"), private, member, archived)
        self.channels[channel.id] = channel
        return channel

    def add_direct(self) -> Channel:
        """Open a direct conversation of a person with the bot."""
        name = f"D{len(self.channels):09d}"
        self.channels[name] = Channel(name, name)
        return self.channels[name]

    def channel(self, name: str) -> Channel:
        """A channel by id or name. Raises `KeyError`."""
        plain = name.lstrip("#")
        return next(channel for channel in self.channels.values() if plain in (channel.id, channel.name))

    def say(self, channel: str, text: str, author: str = "U000000001", thread_ts: str | None = None) -> Post:
        """Something a person writes."""
        return self._place(self.channel(channel), text, [], author, None, thread_ts)

    def call(self, method: str, args: Args) -> Answer:
        """The answer to one call. Raises `ApiError`."""
        handler = self._methods.get(method)
        if handler is None:
            raise ApiError("unknown_method", req_method=method)
        needed = _SCOPES.get(method, ())
        if needed and not self.scopes.intersection(needed):
            raise ApiError("missing_scope", needed=",".join(needed), provided=",".join(sorted(self.scopes)))
        return {"ok": True, **handler(args)}

    # -- chat ----------------------------------------------------------------------------------------------------------

    def _post(self, args: Args) -> Answer:
        channel = self._open_channel(args.get("channel"))
        text, blocks = self._content(args)
        metadata = _metadata(args)
        pieces = [text] if blocks else [text[at : at + SPLIT_AT] for at in range(0, len(text), SPLIT_AT)]
        thread_ts = args.get("thread_ts")
        posts = [self._place(channel, piece, blocks, BOT_USER, metadata, thread_ts) for piece in pieces]
        return {"channel": channel.id, "ts": posts[0].ts, "message": posts[0].shown(with_metadata=True)}

    def _place(
        self, channel: Channel, text: str, blocks: list[Any], author: str, metadata: Any, thread_ts: str | None
    ) -> Post:
        root = next((post for post in channel.posts if thread_ts and post.ts == thread_ts), None)
        post = Post(self._next_ts(), text, blocks, author, metadata, root.ts if root else None)
        (root.replies if root else channel.posts).append(post)
        self._accepted("post", channel, post)
        if author == BOT_USER:
            self.mentions += block_kit.mentions([text, *blocks])
        return post

    def _post_ephemeral(self, args: Args) -> Answer:
        channel = self._open_channel(args.get("channel"))
        text, blocks = self._content(args)
        if not args.get("user"):
            raise ApiError("user_not_in_channel")
        ts = self._next_ts()
        self.ephemerals.append({"channel": channel.id, "user": args["user"], "text": text, "blocks": blocks, "ts": ts})
        return {"message_ts": ts}

    def _update(self, args: Args) -> Answer:
        channel = self._open_channel(args.get("channel"), by_id=True)
        post = channel.find(args.get("ts"))
        if post is None:
            raise ApiError("message_not_found")
        if post.author != BOT_USER:
            raise ApiError("cant_update_message")
        text, blocks = self._content(args)
        post.text, post.blocks = text, blocks
        post.metadata = _metadata(args) or post.metadata
        post.edits += 1
        self._accepted("update", channel, post)
        self.mentions += block_kit.mentions([text, *blocks])
        return {"channel": channel.id, "ts": post.ts, "text": post.text, "message": post.shown(with_metadata=True)}

    def _permalink(self, args: Args) -> Answer:
        channel = self._visible_channel(args.get("channel"))
        if channel.find(args.get("message_ts")) is None:
            raise ApiError("message_not_found")
        number = str(args["message_ts"]).replace(".", "")
        return {"channel": channel.id, "permalink": f"https://acme.slack.com/archives/{channel.id}/p{number}"}

    def _unfurl(self, args: Args) -> Answer:
        """docs.slack.dev/reference/methods/chat.unfurl: only what `link_shared` told of, once for each address."""
        if "links:write" not in self.scopes:
            raise ApiError("missing_scope", needed="links:write")
        given = {name for name in ("channel", "ts", "unfurl_id", "source") if args.get(name)}
        if given == {"channel", "ts"}:
            place = str(args["channel"]), str(args["ts"])
        elif given == {"unfurl_id", "source"}:
            place = str(args["unfurl_id"]), str(args["source"])
        else:
            raise ApiError("missing_unfurl_id" if "source" in given else "cannot_unfurl_message")
        unfurls = _decoded(args.get("unfurls"), "cannot_parse_attachment")
        if place not in self.links or not isinstance(unfurls, dict):
            raise ApiError("cannot_unfurl_message")
        for url, shown in unfurls.items():
            if url not in self.links[place]:
                raise ApiError("cannot_unfurl_url")
            text, blocks = self._content({"text": "-", "blocks": shown.get("blocks")})
            if not blocks:
                raise ApiError("cannot_parse_attachment")
            self.unfurled[url] = blocks
            self.mentions += block_kit.mentions([text, *blocks])
        return {}

    def _content(self, args: Args) -> tuple[str, list[Any]]:
        text, blocks = _content(args)
        if found := list(self.files.objections(blocks)):
            raise ApiError("invalid_blocks", errors=found, response_metadata={"messages": found})
        return text, blocks

    def _open_channel(self, name: object, *, by_id: bool = False) -> Channel:
        channel = self._visible_channel(name, by_id=by_id)
        if channel.archived:
            raise ApiError("is_archived")
        if not channel.member and "chat:write.public" not in self.scopes:
            raise ApiError("not_in_channel")
        return channel

    def _visible_channel(self, name: object, *, by_id: bool = True) -> Channel:
        found = self.channels.get(str(name))
        if found is None and not by_id and str(name).startswith("U"):
            self.channels.setdefault(f"D{str(name)[1:]}", Channel(f"D{str(name)[1:]}", f"D{str(name)[1:]}"))
            return self.channels[f"D{str(name)[1:]}"]
        if found is None and not by_id:
            found = next((one for one in self.channels.values() if one.name == str(name).lstrip("#")), None)
        if found is None or (found.private and not found.member):
            raise ApiError("channel_not_found")
        return found

    def _next_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, int(self._clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    # -- conversations, users, tests -----------------------------------------------------------------------------------

    def _open(self, args: Args) -> Answer:
        if not str(args.get("users", "")).startswith("U"):
            raise ApiError("user_not_found")
        return {"channel": {"id": self._visible_channel(args["users"], by_id=False).id}}

    def _history(self, args: Args) -> Answer:
        channel = self._readable_channel(args)
        return self._page(args, [post for post in reversed(channel.posts) if _within(post, args)], 100)

    def _replies(self, args: Args) -> Answer:
        channel = self._readable_channel(args)
        root = next((post for post in channel.posts if post.ts == args.get("ts")), None)
        if root is None:
            raise ApiError("thread_not_found")
        return self._page(args, [root, *(post for post in root.replies if _within(post, args))], 1_000)

    def _readable_channel(self, args: Args) -> Channel:
        channel = self._visible_channel(args.get("channel"))
        if not channel.member:
            raise ApiError("not_in_channel")
        return channel

    def _page(self, args: Args, posts: list[Post], default: int) -> Answer:
        page, cursor = _paged(posts, args, default)
        wanted = str(args.get("include_all_metadata", "")).lower() in ("1", "true")
        shown = [post.shown(wanted and "metadata.message:read" in self.scopes) for post in page]
        return {"messages": shown, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}

    def _list(self, args: Args) -> Answer:
        kinds = str(args.get("types") or "public_channel").split(",")
        listed = [
            channel
            for channel in self.channels.values()
            if ("private_channel" in kinds and channel.member if channel.private else "public_channel" in kinds)
            and not (channel.archived and str(args.get("exclude_archived", "")).lower() in ("1", "true"))
        ]
        page, cursor = _paged(listed, args, 100)
        return {"channels": [channel.shown() for channel in page], "response_metadata": {"next_cursor": cursor}}

    def _info(self, args: Args) -> Answer:
        return {"channel": self._visible_channel(args.get("channel")).shown()}

    def _user(self, args: Args) -> Answer:
        if not str(args.get("user", "")).startswith(("U", "W")):
            raise ApiError("user_not_found")
        person = {"id": args["user"], "team_id": TEAM, "name": "someone", "is_bot": args["user"] == BOT_USER}
        person |= {"tz": self.zones[args["user"]]} if args["user"] in self.zones else {}
        person |= self.people.get(args["user"], {})
        if "users:read.email" not in self.scopes and "profile" in person:
            person["profile"] = {name: value for name, value in person["profile"].items() if name != "email"}
        return {"user": person}

    def _modal(self, change: Callable[[Args], Answer], args: Args) -> Answer:
        try:
            answer = change(args)
        except Refused as error:
            raise ApiError(error.code, response_metadata={"messages": list(error.details)}) from None
        self.mentions += block_kit.mentions(answer["view"]["blocks"])
        return answer

    def _filed(self, change: Callable[[], Answer]) -> Answer:
        try:
            return change()
        except slack_files.Refused as error:
            raise ApiError(str(error)) from None

    def _complete(self, args: Args) -> Answer:
        if args.get("channel_id") or args.get("channels"):
            raise ApiError("channel_not_found")  # the bot shows its files in messages only
        return self._filed(lambda: self.files.done(_decoded(args.get("files"), "invalid_arguments")))

    def _publish(self, args: Args) -> Answer:
        view = _decoded(args.get("view"), "invalid_arguments")
        if (
            not str(args.get("user_id", "")).startswith(("U", "W"))
            or not isinstance(view, dict)
            or view.get("type") != "home"
        ):
            raise ApiError("invalid_arguments")
        details = block_kit.objections(view["blocks"], block_kit.MAX_VIEW_BLOCKS)
        if found := list(details):
            raise ApiError("invalid_arguments", errors=found, response_metadata={"messages": found})
        self.homes[args["user_id"]] = view["blocks"]
        self.mentions += block_kit.mentions(view["blocks"])
        return {"view": {"id": "V000000001", "team_id": TEAM, **view}}

    def _api_test(self, args: Args) -> Answer:
        if error := args.get("error"):
            raise ApiError(str(error), args=dict(args))
        return {"args": dict(args)}

    def _auth_test(self, args: Args) -> Answer:
        return {
            "url": "https://acme.slack.com/", "team": "Acme", "team_id": TEAM,
            "user": "topology-bot", "user_id": BOT_USER, "bot_id": BOT_ID,
        }  # fmt: skip


def _content(args: Args) -> tuple[str, list[Any]]:
    text, blocks = args.get("text"), _decoded(args.get("blocks"), "invalid_blocks_format")
    refusal = block_kit.refusal(text, blocks)
    if refusal is not None:
        raise ApiError(
            refusal.code, errors=list(refusal.details), response_metadata={"messages": list(refusal.details)}
        )
    return str(text or ""), list(blocks or [])


def _metadata(args: Args) -> dict[str, Any] | None:
    metadata = _decoded(args.get("metadata"), "invalid_metadata_format")
    if metadata is None:
        return None
    named = isinstance(metadata, dict) and isinstance(metadata.get("event_type"), str)
    if not named or not isinstance(metadata.get("event_payload"), dict):
        raise ApiError("invalid_metadata_format")
    return dict(metadata)


def _decoded(value: Any, error: str) -> Any:
    """A structured argument: a value in a JSON body, JSON text in a form."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ApiError(error) from None


def _within(post: Post, args: Args) -> bool:
    at = float(post.ts)
    return float(args.get("oldest") or 0) < at < float(args.get("latest") or "inf")


def _paged(items: list[Any], args: Args, default: int) -> tuple[list[Any], str]:
    try:
        start = int(str(args.get("cursor") or "page:0").removeprefix("page:"))
        limit = min(999, int(args.get("limit") or default))
    except ValueError:
        raise ApiError("invalid_cursor") from None
    end = start + max(1, limit)
    return items[start:end], f"page:{end}" if end < len(items) else ""
