"""A Slack workspace's modals, as strict as the real ones: opened by a trigger, changed, handed in. Pure.

docs.slack.dev/reference/views/modal-views, reference/methods/views.open and views.update, interactivity/handling-user-interaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.kit import block_kit

TRIGGER_SECONDS = 3.0

_KNOWN = {
    "type", "title", "blocks", "close", "submit", "private_metadata", "callback_id", "clear_on_close", "notify_on_close",
    "external_id",
}  # fmt: skip

View = dict[str, Any]


class Refused(Exception):
    """Slack's error word, and what is wrong where."""

    def __init__(self, code: str, *details: str) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


class Modals:
    """The modals that are open. `shown`: view id -> what it shows now; `history`: everything it ever showed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._triggers: dict[str, float] = {}
        self._exchanged: set[str] = set()
        self.shown: dict[str, View] = {}
        self.history: list[View] = []

    def issue(self, trigger: str) -> None:
        """A person did something: for three seconds a modal may be opened, once."""
        self._triggers[trigger] = self._clock()

    def open(self, args: Mapping[str, Any]) -> View:
        """`views.open`."""
        view = _checked(args.get("view"))
        trigger = str(args.get("trigger_id"))
        if trigger not in self._triggers:
            raise Refused("invalid_trigger_id")
        if trigger in self._exchanged:
            raise Refused("exchanged_trigger_id")
        if self._clock() - self._triggers[trigger] > TRIGGER_SECONDS:
            raise Refused("expired_trigger_id")
        self._exchanged.add(trigger)
        view_id = f"V{len(self.history) + 1:09d}"
        return self._show(view_id, view)

    def update(self, args: Mapping[str, Any]) -> View:
        """`views.update`, by `view_id`."""
        view_id = str(args.get("view_id"))
        if view_id not in self.shown:
            raise Refused("not_found")
        return self._show(view_id, _checked(args.get("view")))

    def close(self, view_id: str) -> None:
        """The person closes it."""
        del self.shown[view_id]

    def handed_in(self, view_id: str, values: Mapping[str, Any]) -> View:
        """The view as its submission has it. `values`: block id -> what was filled in; the rest is as it was shown."""
        view = self.shown[view_id]
        assert "submit" in view, "there is nothing to hand in"
        inputs = {block["block_id"]: block["element"] for block in view["blocks"] if block["type"] == "input"}
        assert set(values) <= set(inputs), "the form has no such field"
        state = {name: {element["action_id"]: _filled(element, values.get(name))} for name, element in inputs.items()}
        return view | {"id": view_id, "state": {"values": state}}

    @staticmethod
    def answerable(view: View) -> Iterator[dict[str, str]]:
        """The fields of a handed-in view whose conversation Slack lets the app answer in."""
        for block in view["blocks"]:
            element = block.get("element", {})
            if element.get("response_url_enabled"):
                chosen = view["state"]["values"][block["block_id"]][element["action_id"]]["selected_conversation"]
                yield {"block_id": block["block_id"], "action_id": element["action_id"], "channel_id": chosen}

    def answered(self, view_id: str, answer: Mapping[str, Any]) -> None:
        """What the app said to a submission: nothing closes it."""
        action = answer.get("response_action")
        if action == "update":
            self._show(view_id, _checked(answer.get("view")))
        elif action is None or action == "clear":
            self.shown.pop(view_id, None)
        else:
            assert action == "errors", action

    def _show(self, view_id: str, view: View) -> View:
        self.shown[view_id] = view
        self.history.append(view)
        return {"view": {"id": view_id, "hash": f"{len(self.history)}.fake", **view}}


def _checked(given: object) -> View:
    view = json.loads(given) if isinstance(given, str) else given
    if not isinstance(view, dict):
        raise Refused("invalid_arguments")
    if found := tuple(objections(view)):
        raise Refused("invalid_arguments", *found)
    return view


def objections(view: View) -> Iterator[str]:
    """Every way in which a modal breaks a limit."""
    if view.get("type") != "modal" or (set(view) - _KNOWN):
        yield f"/: not a modal, or with {sorted(set(view) - _KNOWN)}"
    for name, needed in (("title", True), ("close", False), ("submit", _has_input(view))):
        part = view.get(name)
        if part is None and not needed:
            continue
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "plain_text" else None
        if not isinstance(text, str) or not 1 <= len(text) <= 24:
            yield f"/{name}: want plain text of 1 to 24 characters"
    if len(str(view.get("private_metadata", ""))) > 3_000:
        yield "/private_metadata: over 3000 characters"
    if len(str(view.get("callback_id", ""))) > 255:
        yield "/callback_id: over 255 characters"
    yield from block_kit.objections(view.get("blocks") or (), block_kit.MAX_VIEW_BLOCKS, inputs=True)


def _has_input(view: View) -> bool:
    return any(isinstance(block, Mapping) and block.get("type") == "input" for block in view.get("blocks") or ())


def _filled(element: Mapping[str, Any], value: Any) -> dict[str, Any]:
    if element["type"] == "static_select":
        chosen = next((one for one in element["options"] if one["value"] == value), element.get("initial_option"))
        assert chosen is not None, "nothing was chosen"
        assert value is None or chosen["value"] == value, "there is no such option"
        return {"type": "static_select", "selected_option": chosen}
    if element["type"] == "conversations_select":
        assert value, "nothing was chosen"
        return {"type": "conversations_select", "selected_conversation": value}
    assert len(value or "") <= element.get("max_length", 3_000), "Slack takes no more than that"
    return {"type": element["type"], "value": value}
